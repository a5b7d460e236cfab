from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import spikec

from spikec.runtime import compile as compiling


@pytest.mark.parametrize(
    ("raised", "code", "word"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "memory"),
        (OSError(28, "No space left on device"), 1, "free some space"),
    ],
)
def test_other_endings_have_a_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, word: str
) -> None:
    def check_model(model: str, input_shape: object) -> None:
        raise raised

    monkeypatch.setattr(compiling, "check_model", check_model)
    result = spikec("check", "net.onnx")
    assert result.exit_code == code
    assert word in result.stderr


def test_the_command_ends_with_its_code_and_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "net.spikec"
    file.write_text("no program")
    command = [sys.executable, "-m", "spikec", "inspect", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {file}")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_one_line() -> None:
    command = [sys.executable, "-m", "spikec", "--help"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device")
    assert len(done.stderr.splitlines()) == 2


def test_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "spikec", "--help"]
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert done.returncode in (1, 141)
    assert done.stderr == b""
