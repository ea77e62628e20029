"""The built artefacts, and every way of installing them."""
