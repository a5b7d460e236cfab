"""One file of named arrays and a text: safetensors, written completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from spikec.compiler.arrays import Array
from spikec.compiler.errors import OutputFileError, ProgramFileError, Where

KEY = "spikec"
"""The one metadata key: with several, equal contents give different bytes."""


POINTER = b"version https://git-lfs"
"""How the text begins that stands for a large file in a repository."""


def write_tensors(path: str | os.PathLike[str], arrays: Mapping[str, Array], text: str) -> None:
    """Write the file beside its place, then put it there in one step.

    Raises:
        OutputFileError: The folder is missing, the place is taken by something that is no
            file, or the system refuses; whatever was at ``path`` is still there, unchanged.
    """
    goal = Path(path)
    where = Where(file=os.fspath(path))
    # The format stores the buffer as it lies in memory: a transposed view would be wrong.
    content = save({n: np.ascontiguousarray(a) for n, a in arrays.items()}, {KEY: text})
    try:
        goal = goal.resolve()  # a link stays a link
        if goal.exists() and not goal.is_file():
            raise OutputFileError("this is no regular file", where, "choose another path")
        _replace(goal, content)
    except (OSError, ValueError, RuntimeError) as error:  # a null byte; a loop of links
        reason = getattr(error, "strerror", None) or error
        raise OutputFileError(
            f"cannot be written: {reason}", where, "choose another path"
        ) from error


def _replace(goal: Path, content: bytes) -> None:
    beside = goal.with_name(f".{goal.name[:100]}.{os.getpid()}.part")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, goal)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], str]:
    """The arrays and the text of a file.

    Raises:
        ProgramFileError: Missing, unreadable, damaged, or no file of ours.
    """
    name = os.fspath(path)
    where = Where(file=name)
    try:
        size = _size(Path(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProgramFileError(f"cannot be read: {reason}", where, "check the path") from error
    hint = "make it again with 'spikec compile'"
    if size is None:
        raise ProgramFileError("this is no file", where, "name a program, a file")
    if size == 0:
        raise ProgramFileError("the file is empty", where, hint)
    with open(name, "rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            raise ProgramFileError("this is a git-LFS pointer", where, "run: git lfs pull")
    try:
        with safe_open(name, framework="np") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise ProgramFileError("a safetensors file, but no program of spikec", where, hint)
            return {key: file.get_tensor(key) for key in file.keys()}, text  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"damaged, or no program of spikec: {error}"
        raise ProgramFileError(problem, where, hint) from error


def _size(path: Path) -> int | None:
    """Size in bytes; None for a folder or a device. OSError if it cannot be opened."""
    if not path.is_file():
        path.stat()
        return None
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size
