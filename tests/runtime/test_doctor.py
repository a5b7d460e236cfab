"""spikec doctor and spikec lava setup, with programs that stand in for interpreters."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from commands import spikec
from lava_environment import lava_python
from lava_interpreters import NO_LAVA, SHIM, answer, base, script

from spikec.backends.folders import CACHE_DIR
from spikec.backends.lava.environment import LAVA_PYTHON, Candidate
from spikec.runtime import doctor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Lava runs on Linux only")


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No environment is made, none is named, and no Python 3.10 is installed."""
    monkeypatch.delenv(LAVA_PYTHON, raising=False)
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "bases", lambda: iter(()))


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small program runs: what stands in for an interpreter cannot run it."""
    monkeypatch.setattr(doctor, "try_out", lambda python: ("equal", False))


def test_a_machine_without_python_310_is_told_what_to_install() -> None:
    result = spikec("doctor")
    assert result.exit_code == 1
    for words in ("not made yet", "cannot run", "pyenv install 3.10"):
        assert words in result.stdout


def test_every_interpreter_that_was_tried_is_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shim = script(tmp_path / "shim", SHIM)
    python = base(tmp_path / "python", answer())
    tried = [Candidate("test", str(path)) for path in (shim, python)]
    monkeypatch.setattr(doctor, "bases", lambda: iter(tried))
    monkeypatch.setenv(LAVA_PYTHON, str(script(tmp_path / "bare", NO_LAVA)))
    content = json.loads(spikec("doctor", "--json").stdout)["lava"]
    (environment,) = content["environments"]
    assert environment["origin"] == LAVA_PYTHON
    assert "No module named 'lava'" in environment["failure"]
    assert [each["usable"] for each in content["pythons"]] == [False, True]
    assert "exit code 127" in content["pythons"][0]["failure"]
    assert content["advice"] == ["spikec lava setup"]


def test_setup_makes_what_doctor_then_finds(tmp_path: Path, trial: None) -> None:
    python = base(tmp_path / "python", answer())
    made = spikec("lava", "setup", "--python", python)
    assert made.exit_code == 0, made.output
    assert "lava-nc" in made.stdout
    assert "300 MB" in made.stderr
    result = spikec("doctor")
    assert result.exit_code == 0, result.output
    assert "can run" in result.stdout


def test_setup_in_another_folder_says_how_it_is_used(tmp_path: Path) -> None:
    python, folder = base(tmp_path / "python", answer()), tmp_path / "lava"
    made = spikec("lava", "setup", "--python", python, "--folder", folder)
    assert f"export {LAVA_PYTHON}={folder}/bin/python" in made.stdout
    content = json.loads(spikec("lava", "setup", "--folder", folder, "--json").stdout)
    assert content["libraries"]["numpy"] == "1.26.4"


def test_other_versions_and_little_shared_memory_are_pointed_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trial: None
) -> None:
    monkeypatch.setattr(doctor, "_LEAST_SHARED_BYTES", 2**60)
    result = spikec("doctor", "--python", script(tmp_path / "python", answer(scipy="1.9.0")))
    assert result.exit_code == 0
    assert "scipy 1.9.0 (tested: 1.15.3)" in result.stdout
    assert "--shm-size" in result.stdout


def test_an_interpreter_that_has_lava_and_cannot_run_it_is_found_out(tmp_path: Path) -> None:
    result = spikec("doctor", "--python", script(tmp_path / "python", answer()))
    assert result.exit_code == 1
    assert "no event of its protocol" in result.stdout
    assert "cannot run" in result.stdout


def test_a_small_program_runs_on_lava() -> None:
    assert "equal to the golden model" in doctor.try_out(lava_python())[0]


def test_a_setup_that_fails_is_one_error_and_exit_code_1(tmp_path: Path) -> None:
    result = spikec("lava", "setup", "--python", script(tmp_path / "shim", SHIM))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error: there is no Python 3.10" in result.stderr
    assert spikec("lava").exit_code == 2
