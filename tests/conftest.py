"""Tests leave the user's cache of kernels alone."""

from __future__ import annotations

import os
import tempfile

import pytest

CACHE_DIR = "SPIKEC_CACHE_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """One temporary cache for the whole session, before anything is imported, unless one is set."""
    if CACHE_DIR in os.environ:
        return
    folder = tempfile.TemporaryDirectory(prefix="spikec-cache-")
    patch = pytest.MonkeyPatch()
    patch.setenv(CACHE_DIR, folder.name)
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(patch.undo)
