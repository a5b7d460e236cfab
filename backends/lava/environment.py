"""The Python 3.10 with Lava that the worker runs in: where it is looked for, and the proof.

A name on PATH proves nothing: it may be a wrapper that finds no interpreter. Every candidate has to
import Lava and say its versions.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from spikec.backends.folders import UNAVAILABLE, cache_folder, is_private
from spikec.backends.lava.errors import LavaEnvironmentError
from spikec.backends.lava.processes import ask

LAVA_PYTHON = "SPIKEC_LAVA_PYTHON"
"""Environment variable that names the interpreter; nothing else is then looked for."""

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PROOF_SECONDS = 60.0
"""Importing Lava takes a second; from a cold disk many."""

_LAVA = "lava-nc"
_PROBE = """
import sys
sys.path[:] = filter(None, sys.path)  # a folder named lava may stand where the user is
import json
if sys.version_info[:2] != (3, 10):
    sys.exit("this is Python %d.%d, Lava needs 3.10" % sys.version_info[:2])
from importlib.metadata import version
import lava.magma.core.process.process
found = {name: version(name) for name in sys.argv[1:]}
print(json.dumps({"python": sys.version.split()[0], "libraries": found}))
"""


@dataclass(frozen=True)
class Candidate:
    """An interpreter that may do.

    Attributes:
        origin: Why it is looked at.
        python: Path, or a name that is searched on PATH.
    """

    origin: str
    python: str


@dataclass(frozen=True)
class Proof:
    """What became of a candidate.

    Attributes:
        candidate: That was run.
        failure: Why it will not do; empty if it does.
        version: Of Python.
        libraries: Versions by name.
    """

    candidate: Candidate
    failure: str = ""
    version: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether it does."""
        return not self.failure

    @property
    def interpreter(self) -> str:
        """Its absolute path; a name that is searched on PATH stays as it is."""
        python = self.candidate.python
        return os.path.abspath(python) if os.path.dirname(python) else python

    @property
    def unverified(self) -> tuple[str, ...]:
        """Libraries in other versions than those that the backend is tested with."""
        return tuple(
            f"{name} {self.libraries[name]} (tested: {wanted})"
            for name, wanted in pins().items()
            if self.usable and self.libraries.get(name, wanted) != wanted
        )


@cache
def pins() -> Mapping[str, str]:
    """The exact versions that the environment has when spikec makes it, by library."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {name.strip(): version.strip() for name, version in pairs}


def default_folder() -> Path | None:
    """Where ``spikec lava setup`` makes the environment; None if there is no cache folder."""
    folder = cache_folder()
    return None if folder is None else folder / "lava"


def python_in(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


def candidates(python: str | None = None) -> tuple[Candidate, ...]:
    """Interpreters in the order in which they are tried.

    An interpreter that the user names, by argument or variable, is the only one: another one would
    hide that it does not work.
    """
    if python:
        return (Candidate("named by option", python),)
    if named := os.environ.get(LAVA_PYTHON):
        return (Candidate(LAVA_PYTHON, named),)
    folder = default_folder()
    if folder is None:
        return ()
    return (Candidate("made by `spikec lava setup`", str(python_in(folder))),)


def prove(candidate: Candidate, seconds: float = PROOF_SECONDS) -> Proof:
    """Run a candidate: it has to import Lava and say its versions, within so many seconds."""
    if failure := _refusal(candidate):
        return Proof(candidate, failure)
    answer = ask([candidate.python, "-c", _PROBE, *pins()], seconds)
    if answer.failure:
        return Proof(candidate, answer.failure)
    try:
        found = json.loads(answer.output.splitlines()[-1])
        version, libraries = str(found["python"]), dict(found["libraries"])
    except (ValueError, LookupError, TypeError):
        return Proof(candidate, f"answered {answer.output[:80]!r}: this is no Python")
    if libraries.get(_LAVA) != pins()[_LAVA]:
        return Proof(candidate, f"has Lava {libraries.get(_LAVA)}, {pins()[_LAVA]} is needed")
    return Proof(candidate, "", version, libraries)


def _refusal(candidate: Candidate) -> str:
    """Why a candidate is not even run; empty if it is."""
    if sys.platform != "linux":
        return f"Lava forks and is tested on Linux only, this is {sys.platform}"
    folder = default_folder()
    if folder is not None and candidate.python == str(python_in(folder)):
        with suppress(*UNAVAILABLE):
            if not is_private(os.lstat(folder), stat.S_IFDIR):
                return f"others may write to {folder}, or it is not yours"
            return ""
        return "not made yet"
    return ""


def find_environment(python: str | None = None) -> Proof:
    """The first candidate that does.

    Args:
        python: The only candidate, if it is given.

    Raises:
        LavaEnvironmentError: None does; says what was tried, and how it failed.
    """
    tried = [prove(candidate) for candidate in candidates(python)]
    for proof in tried:
        if proof.usable:
            return proof
    raise no_environment(tried)


def no_environment(tried: list[Proof]) -> LavaEnvironmentError:
    """The error that says what was tried, and what can be done."""
    found = "; ".join(f"{p.candidate.origin}: {p.candidate.python}: {p.failure}" for p in tried)
    problem = f"there is no Python 3.10 with Lava: {found or 'there is no cache folder'}"
    named = any(p.candidate.origin == LAVA_PYTHON for p in tried)
    hint = f"correct or unset {LAVA_PYTHON}; " if named else ""
    return LavaEnvironmentError(
        problem, hint=f"{hint}`spikec lava setup` makes one, `spikec doctor` says what it needs"
    )
