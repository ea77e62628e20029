"""Pure functions, and the tests' own tools."""
