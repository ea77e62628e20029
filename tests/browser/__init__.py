"""In a real browser, headless Chromium: noVNC through the prefix, and the local manager's page."""
