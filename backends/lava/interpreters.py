"""Python 3.10 interpreters that an environment can be made from."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from spikec.backends.lava.environment import Candidate, Proof
from spikec.backends.lava.processes import ask

_SECONDS = 15.0
_PROBE = """
import sys
sys.path[:] = filter(None, sys.path)
if sys.version_info[:2] != (3, 10):
    sys.exit("this is Python %d.%d, Lava needs 3.10" % sys.version_info[:2])
import venv
print(sys.version.split()[0])
"""


def bases(python: str | None = None) -> Iterator[Candidate]:
    """Interpreters in the order in which they are tried; only ``python`` if it is given."""
    if python:
        yield Candidate("named by option", python)
        return
    yield Candidate("on PATH", "python3.10")
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for path in sorted(glob.glob(f"{glob.escape(pyenv)}/versions/3.10.*/bin/python"), reverse=True):
        yield Candidate("pyenv", path)
    for place in ("/usr/bin/python3.10", "/usr/local/bin/python3.10"):
        if Path(place).exists():
            yield Candidate("system", place)
    if uv := shutil.which("uv"):
        answer = ask([uv, "python", "find", "--no-python-downloads", "3.10"], _SECONDS)
        if path := answer.output.strip():
            yield Candidate("uv", path)


def prove_base(candidate: Candidate) -> Proof:
    """Run an interpreter: it has to be Python 3.10 and able to make environments."""
    answer = ask([candidate.python, "-c", _PROBE], _SECONDS)
    if answer.failure:
        return Proof(candidate, answer.failure)
    return Proof(candidate, version=answer.output.strip())
