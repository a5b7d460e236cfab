"""What this machine lacks for the Lava backend: each interpreter that was tried, and its answer."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from spikec.backends.lava.environment import Proof, candidates, default_folder, prove
from spikec.backends.lava.interpreters import bases, prove_base
from spikec.backends.lava.processes import SHARED_MEMORY
from spikec.runtime.report import Json

Tell = Callable[[str], None]
"""Told what is tried next."""

_LEAST_SHARED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        environments: Interpreters that may run Lava, in the order in which they are tried.
        bases: Pythons that an environment can be made from; looked for only if none runs Lava.
        shared_memory_bytes: Free in the place that Lava's channels take; None if there is none.
        temporary_bytes: Free where jobs are laid out.
    """

    environments: tuple[Proof, ...]
    bases: tuple[Proof, ...]
    shared_memory_bytes: int | None
    temporary_bytes: int

    @property
    def usable(self) -> bool:
        """Whether the Lava backend can run."""
        return any(proof.usable for proof in self.environments)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do."""
        found = []
        if not self.usable:
            found.append(self._way_out())
        for proof in self.environments:
            found += [f"{name}: `spikec lava setup` installs it" for name in proof.unverified]
        if (self.shared_memory_bytes or 0) < _LEAST_SHARED_BYTES:
            found.append(f"make {SHARED_MEMORY} larger: in a container, --shm-size=1g")
        return tuple(found)

    def _way_out(self) -> str:
        if sys.platform != "linux":
            return "run the Lava backend on Linux; everything else runs here"
        if any(base.usable for base in self.bases):
            return "spikec lava setup"
        return "install Python 3.10 (pyenv install 3.10), then: spikec lava setup"


def examine(python: str | None = None, tell: Tell = lambda line: None) -> Examination:
    """Try every interpreter.

    Args:
        python: The only one that is tried, if it is given.
        tell: Told what is tried next.
    """
    environments = []
    for candidate in candidates(python):
        tell(f"trying {candidate.python}")
        environments.append(prove(candidate))
    found: list[Proof] = []
    if sys.platform == "linux" and not any(proof.usable for proof in environments):
        for candidate in bases():
            tell(f"trying {candidate.python}")
            found.append(prove_base(candidate))
    shared = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None
    return Examination(tuple(environments), tuple(found), shared, _free_for_jobs())


def examination_dict(examination: Examination) -> dict[str, Json]:
    """For machines."""
    folder = default_folder()
    return {
        "spikec": version("spikec"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "lava": {
            "usable": examination.usable,
            "environments": [_proof_dict(proof) for proof in examination.environments],
            "pythons": [_proof_dict(proof) for proof in examination.bases],
            "folder": None if folder is None else str(folder),
            "shared_memory_bytes": examination.shared_memory_bytes,
            "temporary_bytes": examination.temporary_bytes,
            "advice": list(examination.advice),
        },
    }


def _proof_dict(proof: Proof) -> dict[str, Json]:
    return {
        "origin": proof.candidate.origin,
        "path": proof.candidate.python,
        "usable": proof.usable,
        "failure": proof.failure or None,
        "version": proof.version or None,
        "libraries": dict(proof.libraries),
    }


def _free_for_jobs() -> int:
    import tempfile

    return shutil.disk_usage(Path(tempfile.gettempdir())).free
