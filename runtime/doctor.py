"""What this machine lacks for the Lava backend: each interpreter that was tried, and its answer."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from spikec.backends.lava.backend import LavaBackend
from spikec.backends.lava.environment import Proof, candidates, default_folder, prove
from spikec.backends.lava.interpreters import bases, prove_base
from spikec.backends.lava.processes import SHARED_MEMORY
from spikec.compiler.connections import Connection, Dense
from spikec.compiler.errors import CompileError
from spikec.compiler.populations import AdaFire, Fire, Input, Readout
from spikec.compiler.program import Program
from spikec.runtime.report import Json
from spikec.runtime.verify import verify

Tell = Callable[[str], None]
"""Told what is tried next."""

_LEAST_SHARED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        environments: Interpreters that may run Lava, in the order in which they are tried.
        bases: Pythons that an environment can be made from; looked for only if none has Lava.
        trial: How a small program ran on the first interpreter that has Lava; empty if none has.
        trial_failed: Whether it failed.
        shared_memory_bytes: Free in the place that Lava's channels take; None if there is none.
        temporary_bytes: Free where jobs are laid out.
    """

    environments: tuple[Proof, ...]
    bases: tuple[Proof, ...]
    trial: str
    trial_failed: bool
    shared_memory_bytes: int | None
    temporary_bytes: int

    @property
    def usable(self) -> bool:
        """Whether the Lava backend can run."""
        return self._found and not self.trial_failed

    @property
    def _found(self) -> bool:
        return any(proof.usable for proof in self.environments)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do."""
        found = []
        if not self._found:
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
    usable = [proof for proof in environments if proof.usable]
    outcome, failed = "", False
    if usable:
        tell("running a small program")
        outcome, failed = try_out(usable[0].interpreter)
    shared = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return Examination(tuple(environments), tuple(found), outcome, failed, shared, free)


def try_out(python: str) -> tuple[str, bool]:
    """Run two neurons on Lava and on the golden model: what came of it, and whether it failed."""
    one, unit = np.ones(1), np.ones(1, np.int32)
    program = Program(
        populations=(
            Input("input", (2,), 8, one, one, one * 0),
            AdaFire("neurons", (2,), unit * 50, unit * 3, unit * 25, 3, Fire.PLAIN, False, one),
            Readout("sums", (2,), unit * 0, one),
        ),
        connections=(
            Connection("input", "neurons", (Dense(np.array([[3, -1], [-2, 5]], np.int8)),)),
            Connection("neurons", "sums", (Dense(np.array([[1, -1], [1, 1]], np.int8)),)),
        ),
        timesteps=4,
    )
    try:
        result = verify(program, np.array([[40, 10], [-7, 99]]), [LavaBackend(python)])
    except CompileError as error:
        return str(error), True
    seconds = result.backends[0].seconds
    if not result.equal:
        return "Lava computes other integers than the golden model", True
    return f"equal to the golden model, {seconds:.1f} s", False


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
            "trial": examination.trial or None,
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
