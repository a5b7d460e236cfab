"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikec.compiler.errors import OutputFileError, Where


@contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path beside ``path`` to write to; renamed to ``path`` when the block ends well.

    On any error the file beside is removed, and what stood at ``path`` before is untouched.

    Raises:
        OutputFileError: The folder is missing or not writable, ``path`` is a folder or a device,
            or the disk is full.
    """
    target, where = _target(path), Where(file=os.fspath(path))
    beside: Path | None = None
    try:
        beside = _empty_file(target)
        yield beside
        os.replace(beside, target)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "choose another path with --output, or free some space"
        raise OutputFileError(f"cannot be written: {reason}", where, hint) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OutputFileError now, not after an hour of work, if ``path`` cannot be written."""
    target, where = _target(path), Where(file=os.fspath(path))
    try:
        _empty_file(target).unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputFileError(
            f"cannot be written: {reason}", where, "choose another path with --output"
        ) from error


def _target(path: str | os.PathLike[str]) -> Path:
    """Where the file goes, behind links; OutputFileError where something else stands."""
    name = os.fspath(path)
    where = Where(file=name)
    if not name:
        raise OutputFileError("the path of the output is empty", hint="name a file with --output")
    try:
        target = Path(name).resolve()  # a link stays a link
        if target.is_dir():
            raise OutputFileError("this is a folder", where, "name a file in it")
        # Renaming over a device would remove it.
        if target.exists() and not target.is_file():
            raise OutputFileError("this is no regular file", where, "choose another path")
    except (OSError, ValueError, RuntimeError) as error:  # a null byte; a loop of links
        reason = getattr(error, "strerror", None) or error
        raise OutputFileError(
            f"cannot be written: {reason}", where, "choose another path with --output"
        ) from error
    return target


def _empty_file(target: Path) -> Path:
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix
    )
    os.close(handle)
    # mkstemp makes files that only their owner reads; the result gets the usual permissions.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
    return Path(name)
