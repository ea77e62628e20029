"""What lies inside a sandbox: users, files, processes. It knows no wire format."""
