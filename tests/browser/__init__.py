"""The desktop's stream in a real browser: noVNC in headless Chromium, through the prefix."""
