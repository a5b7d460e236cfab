"""The user's cache folder, and whether what lies in it can be trusted."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

CACHE_DIR = "SPIKEC_CACHE_DIR"
"""Environment variable that names the folder of spikec's caches; if it is a file, none is kept."""

UNAVAILABLE = (OSError, ValueError, RuntimeError, KeyError)
"""What asking for files ends with: no such file, a null byte in its name, nobody's home."""


def cache_folder() -> Path | None:
    """The folder that SPIKEC_CACHE_DIR names, else ``spikec`` where the system keeps caches.

    None if there is no such place; the folder itself need not exist.
    """
    with suppress(*UNAVAILABLE):
        named = os.environ.get(CACHE_DIR)
        return Path(named).absolute() if named else _system_folder() / "spikec"
    return None


def is_private(status: os.stat_result, kind: int) -> bool:
    """Whether this is a folder, or a file, of this user that nobody else writes to.

    Args:
        status: Of the file itself, links not followed.
        kind: ``stat.S_IFDIR`` or ``stat.S_IFREG``.
    """
    if stat.S_IFMT(status.st_mode) != kind:
        return False
    if sys.platform == "win32":  # folders below LOCALAPPDATA are their user's alone
        return True
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid == os.geteuid() and not others_write


def _system_folder() -> Path:
    """Source: XDG Base Directory Specification; the same for macOS and Windows by their makers."""
    if sys.platform == "win32":
        return Path(os.environ["LOCALAPPDATA"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"
