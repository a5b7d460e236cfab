"""Arrays out of .npy and .npz files; nothing is ever unpickled."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from spikec.compiler.arrays import Array
from spikec.compiler.errors import InputError, Where

_DAMAGE: tuple[type[Exception], ...] = (
    ValueError,
    EOFError,
    OSError,
    KeyError,
    SyntaxError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
)
"""What NumPy and zipfile raise on truncated, foreign or pickled files."""


def split_array_name(spec: str) -> tuple[str, str | None]:
    """The path and the array's name out of ``file.npz:array``; no name if none is given."""
    path, colon, name = spec.rpartition(":")
    if colon and path.lower().endswith((".npz", ".npy")) and not Path(spec).exists():
        return path, name
    return spec, None


def read_array(path: str | os.PathLike[str], name: str | None = None) -> Array:
    """The array in a .npy file (memory-mapped), or one array of a .npz file.

    Args:
        path: The file.
        name: Which array of a .npz file; needed if it holds several.

    Raises:
        InputError: The file is missing, damaged, foreign or holds Python objects; there is no
            such array, or several and none is named.
    """
    file = Path(path)
    check_readable(file)
    with _named(file):
        if _is_archive(file):
            array = _from_npz(file, name)
        elif name is not None:
            problem = f"holds one array without a name, not {name!r}"
            raise InputError(problem, Where(file=str(file)), f"leave the name out: {file.name}")
        else:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "buif":
        raise InputError(
            f"the array has type {array.dtype}; numbers are needed",
            Where(file=str(file)),
            "save it as float32, uint8 or int64",
        )
    return array


def check_readable(file: Path) -> None:
    """Raise InputError unless ``file`` is a file that is there, not empty, no git-LFS pointer."""
    where = Where(file=str(file))
    try:
        if file.is_dir():
            raise InputError("this is a folder, not a file of arrays", where)
        with file.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where, "check the path") from error
    if not start:
        raise InputError("the file is empty", where, "make or download it again")
    if start.startswith(b"version https://git-lfs"):
        raise InputError("this is a git-LFS pointer, not the file", where, "run: git lfs pull")


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        where = Where(file=str(file))
        if "bject" in str(error):  # "Object arrays cannot…", "…: Python objects in dtype"
            hint = "save the array with a numeric type; objects are never unpickled"
            raise InputError("holds Python objects", where, hint) from error
        hint = "write it again with numpy.save or numpy.savez, and check that it is complete"
        problem = "neither a NumPy array file (.npy, .npz) nor an image, or it is damaged"
        raise InputError(problem, where, hint) from error


def _is_archive(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"PK"


def _from_npz(file: Path, name: str | None) -> Array:
    where = Where(file=str(file))
    # Opened here: numpy.load leaves a damaged archive open.
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        names = archive.files
        if name is None and len(names) == 1:
            name = names[0]
        if name in names:
            array: Array = archive[name]
            return array
        if name is None:
            problem = f"holds {len(names)} arrays, and none is named"
        else:
            problem = f"holds no array named {name!r}"
        listed = ", ".join(f"{each} {_shape_in_npz(file, each)}" for each in names)
        example = names[0] if names else "array"
        raise InputError(problem, where, f"it holds {listed}; write {file.name}:{example}")


def _shape_in_npz(file: Path, name: str) -> str:
    """Shape and type of an array, from its header alone."""
    with zipfile.ZipFile(file) as archive:
        member = name if name in archive.namelist() else f"{name}.npy"
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0
            if version[0] > 1:
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
    return f"{shape} {dtype}"
