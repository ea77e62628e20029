"""Mutation testing of the pure modules."""
