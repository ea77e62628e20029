"""The sandbox-manager's API: which sandboxes there are, and for how long."""
