"""Programs built by PyInstaller and Nuitka; the tox environment `frozen` has both."""
