"""The directory that ``kruise-autopatch run`` puts first on PYTHONPATH."""
