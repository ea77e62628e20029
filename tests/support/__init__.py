"""What the tests share; tests/README.md says which module does what."""
