"""Every URL surface of the SDK, over real sockets."""
