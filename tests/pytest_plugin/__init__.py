"""The fixture of our pytest plugin, in tests as a user writes them."""
