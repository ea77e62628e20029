"""The command line. Nothing here is imported at start-up, or by the patches."""
