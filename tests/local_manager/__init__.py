"""Tests of the local sandbox-manager, over real sockets."""
