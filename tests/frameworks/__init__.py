"""Other people's software, unmodified, against the local sandbox-manager."""
