"""Many threads that import the SDK at once, in many fresh interpreters."""
