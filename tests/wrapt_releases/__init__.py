"""Every wrapt that we allow, beside the installed SDK."""
