"""ObjectCache: object files of kernels, kept from one process to the next.

Loading an object file is running it, so folder and files must belong to this user, nobody else may
write to them, and every file carries a checksum of its key and content. Whatever is wrong with them
or with the disk, the answer is that there is nothing, and the kernel is compiled.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from spikec.backends.folders import UNAVAILABLE, cache_folder, is_private

LIMIT = 64 * 2**20
"""Bytes of all files together; the oldest ones go first."""

_MAGIC = b"spikec kernel 1\n"
_SUFFIX, _UNFINISHED = ".kernel", ".part"
_DAY = 24 * 60 * 60


class ObjectCache:
    """Files by key, a name of hexadecimal digits.

    Args:
        folder: Where they are; None keeps nothing.
        limit: Bytes that they may take, those of the last few dozen files aside.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit

    def read(self, key: str) -> bytes | None:
        """What was written under a key; None if it cannot be had, or is not what was written."""
        with suppress(*UNAVAILABLE):
            if self.folder is not None and is_private(os.lstat(self.folder), stat.S_IFDIR):
                head, content = _read_file(self.folder / f"{key}{_SUFFIX}", len(_head("", b"")))
                if head == _head(key, content):
                    return content
        return None

    def write(self, key: str, content: bytes) -> None:
        """Keep a content under a key, if that is possible."""
        with suppress(*UNAVAILABLE):
            if self.folder is None:
                return
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not is_private(os.lstat(self.folder), stat.S_IFDIR):
                return
            _write_file(self.folder / f"{key}{_SUFFIX}", _head(key, content) + content)
            if int(key[:2], 16) < 4:  # looking at all files takes time: once in 64 writes
                self.prune()

    def prune(self) -> None:
        """Beyond the limit, remove the oldest files until the rest takes 3/4 of it."""
        with suppress(*UNAVAILABLE):
            files = [] if self.folder is None else _files(self.folder)
            size = sum(size for _, size, _ in files)
            if size > self.limit:
                for _, removed, path in files:
                    if size <= self.limit * 3 // 4:
                        break
                    Path(path).unlink(missing_ok=True)
                    size -= removed


def user_cache() -> ObjectCache:
    """The cache in the folder that SPIKEC_CACHE_DIR names, else where the system keeps caches."""
    folder = cache_folder()
    return ObjectCache(None if folder is None else folder / "kernels")


def _head(key: str, content: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(key.encode() + content).digest()


def _read_file(path: Path, head: int) -> tuple[bytes, bytes]:
    """Head and content of a file; using it makes it young, as far as pruning is concerned."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not is_private(status, stat.S_IFREG):
            return b"", b""
        if status.st_mtime < time.time() - _DAY:
            with suppress(OSError):
                os.utime(path)
        return file.read(head), file.read()


def _write_file(path: Path, content: bytes) -> None:
    """Write a file that appears whole; of several writers at once, one wins."""
    handle, beside = tempfile.mkstemp(dir=path.parent, suffix=_UNFINISHED)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(beside, path)
    finally:
        Path(beside).unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[float, int, str]]:
    """Time, size and path of every file of a cache, the oldest first."""
    with os.scandir(folder) as entries:
        ours = [entry for entry in entries if entry.name.endswith((_SUFFIX, _UNFINISHED))]
    found = []
    for entry in ours:
        with suppress(OSError):  # another process was faster
            status = entry.stat(follow_symlinks=False)
            found.append((status.st_mtime, status.st_size, entry.path))
    return sorted(found)
