"""Export: a folder with a network as Lava processes, which runs without spikec.

It holds our process definitions, the network as Python source, its arrays, and inputs with the
potentials that have to come out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from spikec.backends.base import checked_inputs
from spikec.backends.lava.environment import REQUIREMENTS
from spikec.backends.lava.export_readme import readme
from spikec.backends.lava.lowering import Processes, lower
from spikec.backends.lava.network_source import NetworkSource
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.errors import OutputFileError, Where
from spikec.compiler.program import Program

_WORKER = Path(__file__).with_name("worker")
_COPIED = ("kernels", "processes", "joining.py", "standalone.py", "stock.py")
_MAIN = '''"""Runs the network: python main.py [INPUTS.npy] [--output FILE.npy]."""

import sys

from network import NETWORK
from standalone import main

if __name__ == "__main__":
    sys.exit(main(NETWORK))
'''


def export(
    program: Program,
    folder: Path,
    inputs: Array,
    expected: Int64,
    *,
    processes: Processes = Processes.AUTO,
) -> None:
    """Write a folder that runs by itself.

    Args:
        program: What is exported.
        folder: Must not exist, or be empty.
        inputs: Quantised inputs for a first run; see Backend.run.
        expected: Potentials of the read-out for them, (images, T, *shape).
        processes: Whether Lava's own processes are used where they are exact.

    Raises:
        InputError: The inputs do not fit.
        OutputFileError: The folder holds something, or cannot be written; it is as it was.
    """
    inputs = checked_inputs(program, inputs, frozenset())
    with _folder_beside(folder) as beside:
        _copy_sources(beside)
        (beside / "arrays").mkdir()

        def store(name: str, values: Array) -> None:
            np.save(beside / "arrays" / f"{name}.npy", values, allow_pickle=False)

        lowered = lower(program, processes)
        title = f"The network, program {program.digest[:16]}, written by spikec."
        source = NetworkSource(lowered, store).text(title)
        (beside / "network.py").write_text(source, encoding="utf-8")
        (beside / "README.md").write_text(readme(lowered), encoding="utf-8")
        np.save(beside / "inputs.npy", inputs.astype(np.int32), allow_pickle=False)
        np.save(beside / "expected.npy", expected, allow_pickle=False)


def check_folder(folder: Path) -> None:
    """Raise OutputFileError unless the folder is empty or can be made."""
    where = Where(file=str(folder))
    hint = "name a new or an empty folder"
    try:
        if folder.is_dir():
            if any(folder.iterdir()):
                raise OutputFileError("this folder is not empty", where, hint)
        elif folder.exists() or folder.is_symlink():
            raise OutputFileError("this is no folder", where, hint)
        elif not folder.absolute().parent.is_dir():
            raise OutputFileError("the folder that it should stand in is missing", where, hint)
    except OSError as error:
        raise _unwritable(error, folder) from error


def _copy_sources(folder: Path) -> None:
    for name in _COPIED:
        source = _WORKER / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    shutil.copy(REQUIREMENTS, folder / "requirements.txt")
    (folder / "main.py").write_text(_MAIN, encoding="utf-8")


@contextmanager
def _folder_beside(folder: Path) -> Iterator[Path]:
    """A folder beside, renamed when the block ends well, removed when it does not."""
    check_folder(folder)
    target = folder.absolute()
    beside: Path | None = None
    try:
        beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        yield beside
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(0o777 & ~mask)  # mkdtemp makes folders that only their owner reads
        os.replace(beside, target)
    except OSError as error:
        raise _unwritable(error, folder) from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def _unwritable(error: OSError, folder: Path) -> OutputFileError:
    problem = f"cannot be written: {error.strerror or error}"
    return OutputFileError(problem, Where(file=str(folder)), "name another folder, or free space")
