"""envd, the daemon in every sandbox: a plain HTTP API, and Connect RPCs."""

PORT = 49983
