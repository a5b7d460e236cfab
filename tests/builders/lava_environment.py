"""The interpreter with Lava that tests run in; without one they are skipped, and say why."""

from __future__ import annotations

from functools import cache

import pytest

from spikec.backends.lava.environment import find_environment
from spikec.backends.lava.errors import LavaEnvironmentError


@cache
def _found() -> tuple[str, str]:
    """Path of the interpreter, or the reason why there is none."""
    try:
        return find_environment().candidate.python, ""
    except LavaEnvironmentError as error:
        return "", str(error)


def lava_python() -> str:
    """Path of the interpreter; skips the test if there is none."""
    python, reason = _found()
    if not python:
        pytest.skip(reason)
    return python
