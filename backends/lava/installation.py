"""Making the environment: Python 3.10, Lava and the pinned libraries, whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spikec.backends.lava.environment import (
    REQUIREMENTS,
    Candidate,
    Proof,
    default_folder,
    prove,
    python_in,
)
from spikec.backends.lava.errors import LavaEnvironmentError
from spikec.backends.lava.interpreters import bases, prove_base
from spikec.backends.lava.processes import ask
from spikec.compiler.errors import Where

Tell = Callable[[str], None]
"""Told what goes on, in a line."""

MADE = "made by `spikec lava setup`"

_CREATE_SECONDS = 120.0
_INSTALL_SECONDS = 1800.0
_NEEDS = (
    "install Python 3.10 (pyenv install 3.10, or uv python install 3.10), or name one: --python"
)
_COMPILED = "--only-binary=numpy,scipy,scikit-learn"  # building them from source takes an hour


def set_up(folder: Path | None = None, python: str | None = None, tell: Tell = print) -> Proof:
    """The environment in a folder, made unless it is there and does; its proof.

    It is made beside and renamed: what stands in the folder is always whole. Its scripts then name
    a folder that is gone; only its interpreter is ever run.

    Args:
        folder: Where it goes; by default into the user's cache.
        python: Python 3.10 that it is made from; by default the first that is found.
        tell: Told what goes on.

    Raises:
        LavaEnvironmentError: There is no Python 3.10, or something cannot be installed.
    """
    if sys.platform != "linux":
        raise LavaEnvironmentError(f"Lava is tested on Linux only, this is {sys.platform}")
    target = Path(os.path.abspath(folder or default_folder() or _nowhere()))
    try:
        with _locked(target):
            return _made(target, python, tell)
    except OSError as error:
        problem = f"the environment cannot be written: {error.strerror or error}"
        hint = "free some space (it takes 300 MB), or choose another place with --folder"
        raise LavaEnvironmentError(problem, Where(file=str(target)), hint) from error


def _nowhere() -> Path:
    raise LavaEnvironmentError("there is no cache folder", hint="name a folder: --folder")


def _made(target: Path, python: str | None, tell: Tell) -> Proof:
    """The environment in ``target``, which nobody else works on."""
    _check_replaceable(target)
    there = Candidate(MADE, str(python_in(target)))
    if target.exists():
        found = prove(there)
        if found.usable and not found.unverified:
            tell(f"{target}: the environment is there and works")
            return found
    beside = target.with_name(f"{target.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _install(_base(python, tell), beside, tell)
        proof = prove(Candidate(MADE, str(python_in(beside))))
        if not proof.usable:
            raise LavaEnvironmentError(f"the new environment does not work: {proof.failure}")
        shutil.rmtree(target, ignore_errors=True)
        beside.chmod(0o755)  # an interpreter that others may write to is refused
        os.rename(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Proof(there, "", proof.version, proof.libraries)


def _check_replaceable(target: Path) -> None:
    """Nothing but an environment, or an empty folder, is ever removed."""
    if not target.exists() or (target / "pyvenv.cfg").is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        raise LavaEnvironmentError(
            "this is no environment, and is left alone",
            Where(file=str(target)),
            "choose another place with --folder",
        )


def _base(python: str | None, tell: Tell) -> str:
    """The first Python 3.10 that runs."""
    tried = []
    for candidate in bases(python):
        proof = prove_base(candidate)
        if proof.usable:
            tell(f"Python {proof.version}: {candidate.python}")
            return candidate.python
        tried.append(f"{candidate.python}: {proof.failure}")
    raise LavaEnvironmentError(f"there is no Python 3.10: {'; '.join(tried)}", hint=_NEEDS)


def _install(base: str, beside: Path, tell: Tell) -> None:
    """Make the environment by the first way that this system knows, and fill it."""
    failures = []
    for create, install in _ways(base, beside):
        shutil.rmtree(beside, ignore_errors=True)
        answer = ask(create, _CREATE_SECONDS)
        if answer.failure:
            failures.append(f"{' '.join(create[:3])}: {answer.failure}")
            continue
        tell("installing Lava and its libraries, 300 MB, once: a minute or two")
        answer = ask([*install, _COMPILED, "-r", str(REQUIREMENTS)], _INSTALL_SECONDS)
        if answer.failure:
            error = LavaEnvironmentError(f"the libraries cannot be installed: {answer.failure}")
            for line in answer.errors.splitlines()[-8:]:
                error.add_note(line)
            raise error
        return
    raise LavaEnvironmentError(
        f"no environment can be made: {'; '.join(failures)}", hint="install uv, or python3.10-venv"
    )


def _ways(base: str, beside: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Commands that create an environment, and that install into it.

    Some systems ship Python without ensurepip; uv, or our own pip, can then fill the environment.
    """
    inside, quiet = str(python_in(beside)), ["install", "--quiet", "--no-input"]
    yield [base, "-I", "-m", "venv", str(beside)], [inside, "-I", "-m", "pip", *quiet]
    if uv := shutil.which("uv"):
        created = [uv, "venv", "--quiet", "--python", base, str(beside)]
        yield created, [uv, "pip", "install", "--quiet", "--python", inside]
    bare = [base, "-I", "-m", "venv", "--without-pip", str(beside)]
    yield bare, [sys.executable, "-I", "-m", "pip", "--python", inside, *quiet]


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """One at a time works on a folder; the second one finds what the first one made."""
    import fcntl

    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = target.with_name(f"{target.name}.lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
