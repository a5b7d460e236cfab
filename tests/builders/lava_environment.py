"""The interpreter with Lava that tests run in; without one they are skipped, and say why."""

from __future__ import annotations

import os
from functools import cache

import pytest

from spikec.backends.lava.environment import LAVA_PYTHON, find_environment
from spikec.backends.lava.errors import LavaEnvironmentError

NAMED = os.environ.get(LAVA_PYTHON)
"""As it was before any test changed it."""


@cache
def _found() -> tuple[str, str]:
    """Path of the interpreter, or the reason why there is none."""
    try:
        return find_environment(NAMED).candidate.python, ""
    except LavaEnvironmentError as error:
        return "", str(error)


def lava_python() -> str:
    """Path of the interpreter; skips the test if there is none."""
    python, reason = _found()
    if not python:
        pytest.skip(reason)
    return python
