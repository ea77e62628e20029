"""The way to a port of a sandbox: what an address means, who may pass, and the proxy."""
