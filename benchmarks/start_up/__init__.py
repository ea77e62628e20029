"""The parts of the start-up benchmark; ``../startup.py`` runs them."""
