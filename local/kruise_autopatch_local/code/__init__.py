"""The code interpreter of E2B's template: kernels, and the HTTP API in front of them."""

PORT = 49999
