"""Making the environment: whole or not at all, and never in place of something else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lava_interpreters import HANGS, NO_LAVA, SHIM, answer, base, script

from spikec.backends.lava import installation, interpreters
from spikec.backends.lava.environment import Candidate
from spikec.backends.lava.errors import LavaEnvironmentError
from spikec.backends.lava.installation import set_up
from spikec.backends.lava.interpreters import bases, prove_base

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Lava runs on Linux only")


@pytest.fixture(autouse=True)
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (installation, interpreters):
        monkeypatch.setattr(module.shutil, "which", lambda name: None)


def made(folder: Path, python: Path) -> list[str]:
    """What setting up tells."""
    told: list[str] = []
    proof = set_up(folder, str(python), told.append)
    assert proof.usable
    assert proof.candidate.python == str(folder / "bin" / "python")
    return told


def test_it_is_made_from_a_python_310_and_the_pinned_libraries(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "lava"
    told = made(folder, base(tmp_path / "python", answer()))
    assert "300 MB" in told[-1]
    installed = (folder / "installed").read_text()
    assert installed.startswith("-I -m pip install")
    assert "requirements.txt" in installed
    assert sorted(path.name for path in folder.parent.iterdir()) == ["lava", "lava.lock"]


def test_one_that_works_is_left_as_it_is(tmp_path: Path) -> None:
    python = base(tmp_path / "python", answer())
    made(tmp_path / "lava", python)
    (tmp_path / "lava" / "mark").touch()
    told = made(tmp_path / "lava", script(tmp_path / "broken", "exit 1"))
    assert "works" in told[-1]
    assert (tmp_path / "lava" / "mark").exists()


@pytest.mark.parametrize("old", [NO_LAVA, answer(numpy="1.25.0"), answer(lava_nc="0.9.0")])
def test_one_that_is_broken_or_old_is_made_again(tmp_path: Path, old: str) -> None:
    folder = tmp_path / "lava"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").touch()
    script(folder / "bin" / "python", old)
    made(folder, base(tmp_path / "python", answer()))
    assert (folder / "installed").exists()


def test_what_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.jpg").touch()
    file = tmp_path / "file"
    file.touch()
    for place in (folder, file):
        with pytest.raises(LavaEnvironmentError, match="left alone") as caught:
            made(place, base(tmp_path / "python", answer()))
        assert caught.value.where.file == str(place)
    assert (folder / "holiday.jpg").exists()


def test_a_failure_leaves_what_was_there_and_nothing_half_made(tmp_path: Path) -> None:
    for body, words in [(NO_LAVA, "No module named 'lava'"), ("exit 3", "does not work")]:
        with pytest.raises(LavaEnvironmentError, match=words):
            made(tmp_path / "lava", base(tmp_path / "python", body))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lava.lock", "python"]


def test_a_failing_install_shows_its_last_lines(tmp_path: Path) -> None:
    body = "echo ERROR: no matching distribution >&2; exit 1"
    python = base(tmp_path / "python", answer())
    text = python.read_text().replace('echo "$@" >"${0%/bin/python}/installed"; exit', body)
    with pytest.raises(LavaEnvironmentError, match="no matching distribution"):
        made(tmp_path / "lava", script(tmp_path / "failing", text))
    assert not (tmp_path / "lava.part").exists()


def test_a_python_without_ensurepip_is_filled_by_our_own_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = script(tmp_path / "our-python", f'echo "$@" >{tmp_path}/used')
    monkeypatch.setattr(sys, "executable", str(pip))
    made(tmp_path / "lava", base(tmp_path / "python", answer(), ensurepip=False))
    assert "--python" in (tmp_path / "used").read_text()


def test_a_wrapper_that_finds_no_interpreter_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "python3.10", SHIM)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    python = base(tmp_path / "pyenv" / "versions" / "3.10.13" / "bin" / "python", answer())
    assert "exit code 127" in prove_base(next(bases())).failure
    told: list[str] = []
    assert set_up(tmp_path / "lava", None, told.append).usable
    assert told[0] == f"Python 3.10.13: {python}"


def test_without_a_python_310_every_candidate_and_a_way_out_are_named(tmp_path: Path) -> None:
    shim = script(tmp_path / "shim", SHIM)
    with pytest.raises(LavaEnvironmentError) as caught:
        set_up(tmp_path / "lava", str(shim), print)
    assert f"{shim}: exit code 127" in caught.value.problem
    assert "pyenv install 3.10" in caught.value.hint


def test_another_version_and_one_that_hangs_will_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "_SECONDS", 0.5)
    assert "Lava needs 3.10" in prove_base(Candidate("test", sys.executable)).failure
    slow = Candidate("test", str(script(tmp_path / "slow", HANGS)))
    assert "no answer within 0.5 s" in prove_base(slow).failure


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LavaEnvironmentError, match="cannot be written"):
        made(tmp_path / "file" / "lava", base(tmp_path / "python", answer()))
