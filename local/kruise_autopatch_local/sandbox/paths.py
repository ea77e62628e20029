"""Paths inside a sandbox, and the host paths that stand for them.

A sandbox sees itself as a small file system of its own: `/` is its directory on the host,
and relative paths start in `/home/user`. Only the files API and the RPCs keep up that
appearance. A command or a kernel that names an absolute path sees the host.
"""

from __future__ import annotations

import os
import posixpath

HOME = "/home/user"


class PathEscapes(ValueError):
    """A path leads out of the sandbox's directory."""


class SandboxPaths:
    """Translates between the sandbox's view of its files and the host's."""

    def __init__(self, root: str) -> None:
        # Resolved once, since temporary directories are symlinks on macOS.
        self.root = os.path.realpath(root)
        self.home = self.root + HOME

    def on_host(self, path: str) -> str:
        """The host path for a sandbox path.

        The last component is not followed if it is a symlink inside the sandbox, so that
        links can be listed, moved and removed; `followed` resolves it too.
        """
        shown = self.absolute(path)
        if shown == "/":
            return self.root
        parent, name = posixpath.split(shown)
        return os.path.join(self._resolve(parent, path), name)

    def followed(self, path: str) -> str:
        """The host path for a sandbox path, with every symlink resolved and checked."""
        return self._resolve(self.absolute(path), path)

    def absolute(self, path: str) -> str:
        """The absolute, normalised sandbox path that `path` means."""
        if "\0" in path:
            raise PathEscapes("a path cannot contain a NUL byte")
        if path == "~" or path.startswith("~/"):
            path = HOME + path[1:]
        elif path == self.root or path.startswith(self.root + "/"):
            # Commands and kernels see the host, so what they print may be a host path.
            path = path[len(self.root) :] or "/"
        elif not path.startswith("/"):
            path = f"{HOME}/{path}"
        depth = 0
        for part in path.split("/"):
            depth += -1 if part == ".." else part not in ("", ".")
            if depth < 0:
                raise PathEscapes(f"path '{path}' leads out of the sandbox's directory")
        return posixpath.normpath("/" + path.lstrip("/"))

    def in_sandbox(self, host_path: str) -> str:
        """The sandbox path of a host path below the sandbox's directory."""
        return host_path[len(self.root) :] or "/"

    def _resolve(self, absolute: str, asked: str) -> str:
        resolved = os.path.realpath(self.root + absolute)
        if resolved != self.root and not resolved.startswith(self.root + os.sep):
            raise PathEscapes(
                f"path '{asked}' is a symlink out of the sandbox's directory (to {resolved})"
            )
        return resolved
