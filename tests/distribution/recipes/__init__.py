"""The CI recipes of examples/ci, run for real."""
