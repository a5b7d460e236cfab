from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from spikec.compiler.errors import OutputFileError
from spikec.runtime.output import check_writable, written_beside


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "out.npz"
    with written_beside(target) as beside:
        beside.write_bytes(b"new")
        assert not target.exists()
        assert beside.suffix == ".npz"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_block_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), written_beside(target) as beside:  # noqa: PT012
        beside.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(OutputFileError, match="No space left") as caught, written_beside(target):
        raise OSError(28, "No space left on device")
    assert caught.value.where.file == str(target)
    assert not list(tmp_path.iterdir())


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "absent" / "out"):
        with pytest.raises(OutputFileError) as first:
            check_writable(target)
        with pytest.raises(OutputFileError) as second, written_beside(target):
            pass
        assert first.value.where.file == second.value.where.file == str(target)


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with written_beside(tmp_path / "out") as beside:
        beside.write_bytes(b"")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "out")]
    assert modes[0] == modes[1]
