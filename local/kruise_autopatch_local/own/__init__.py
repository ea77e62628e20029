"""What is this server's own and no part of the real protocol: faults, and a page to watch."""
