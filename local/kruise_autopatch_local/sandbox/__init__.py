"""Sandboxes from without: how long they live, and what keeps them apart. No wire format."""
