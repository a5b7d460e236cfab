"""JobFolder: a temporary folder that goes, with all that a run left, even if the host is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spikec.backends.lava.errors import LavaRunError
from spikec.backends.lava.processes import clean_environment

_GUARDIAN = Path(__file__).with_name("guardian.py")


class JobFolder:
    """A folder, and the process that removes it if this one cannot.

    Args:
        path: Of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Isolated, without site-packages: a quarter of the time and memory.
        command = [sys.executable, "-I", "-S", str(_GUARDIAN), str(path)]
        self._guardian = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            start_new_session=True,
        )

    def leave_to_guardian(self, kind: str, value: object) -> None:
        """What it removes if this process is killed: a ``group`` of processes, a ``segment``."""
        self._tell(f"{kind} {value}")

    def remove(self) -> None:
        """Remove the folder and end the guardian."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._tell("done")
        with suppress(OSError):
            if self._guardian.stdin is not None:
                self._guardian.stdin.close()
        self._guardian.wait()

    def _tell(self, line: str) -> None:
        with suppress(OSError, ValueError):  # a guardian that was killed guards nothing
            if self._guardian.stdin is not None:
                self._guardian.stdin.write(f"{line}\n".encode())
                self._guardian.stdin.flush()


@contextmanager
def job_folder() -> Iterator[JobFolder]:
    """A new folder where the system keeps temporary files, removed with the block.

    Raises:
        LavaRunError: The disk under it is full, or it cannot be written; names it.
    """
    path = Path(tempfile.gettempdir())
    try:
        path = Path(tempfile.mkdtemp(prefix="spikec-lava-"))
        try:
            folder = JobFolder(path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        try:
            yield folder
        finally:
            folder.remove()
    except OSError as error:
        raise disk_error(error, path) from error


def disk_error(error: OSError, path: Path) -> LavaRunError:
    """The error of a temporary folder that cannot be written."""
    reason = error.strerror or str(error)
    hint = "free some space, or set TMPDIR to a folder on another disk; fewer inputs need less"
    return LavaRunError(f"the temporary folder {path} cannot be written: {reason}", hint=hint)


def reserve(folder: Path) -> None:
    """Take the space that the result files of a job will fill.

    They are mapped into memory by the worker, where a full disk is no error that a program sees:
    the system kills it.

    Raises:
        LavaRunError: There is not enough.
    """
    try:
        for file in folder.glob("*.npy"):
            with file.open("rb+") as stream:
                os.posix_fallocate(stream.fileno(), 0, max(1, file.stat().st_size))
    except OSError as error:
        raise disk_error(error, folder) from error
