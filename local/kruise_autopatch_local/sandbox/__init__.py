"""What a sandbox is made of: files, processes, a time to live. It knows no wire format."""
