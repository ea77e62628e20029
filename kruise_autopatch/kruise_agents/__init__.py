"""The modules that OpenKruise's documentation imports as ``kruise_agents.NAME``.

``kruise_agents.py``, beside this package, says when they are found under that name.
"""
