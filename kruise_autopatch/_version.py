"""The version of both distributions; it stands here alone."""

__version__ = "0.1.0"
