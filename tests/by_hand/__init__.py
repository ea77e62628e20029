"""Patching by hand: ``patch_e2b`` and ``unpatch_e2b``, and what patched classes look like."""
