"""Which Python 3.10 with Lava is taken, and why others are not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from lava_environment import lava_python
from lava_interpreters import CHATTERS, HANGS, NO_LAVA, SEGFAULTS, SHIM, answer, script

from spikec.backends.folders import CACHE_DIR
from spikec.backends.lava.environment import (
    LAVA_PYTHON,
    Candidate,
    candidates,
    default_folder,
    find_environment,
    pins,
    prove,
    python_in,
)
from spikec.backends.lava.errors import LavaEnvironmentError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Lava runs on Linux only")


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(LAVA_PYTHON, raising=False)
    monkeypatch.setenv(CACHE_DIR, str(tmp_path / "cache"))


def test_every_library_of_the_environment_has_an_exact_version() -> None:
    assert pins()["lava-nc"] == "0.10.0"
    assert len(pins()) == 9
    assert all(version[0].isdigit() for version in pins().values())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (SHIM, "exit code 127: pyenv: python3.10: command not found"),
        (HANGS, "no answer within 1 s"),
        (NO_LAVA, "exit code 1: ModuleNotFoundError: No module named 'lava'"),
        (CHATTERS, "answered 'I am no Python"),
        (SEGFAULTS, "killed by SIGSEGV"),
        ("exit 0", "answered ''"),
        (answer(lava_nc="0.9.0"), "has Lava 0.9.0, 0.10.0 is needed"),
    ],
)
def test_a_candidate_that_will_not_do_says_why(tmp_path: Path, body: str, words: str) -> None:
    proof = prove(Candidate("test", str(script(tmp_path / "python3.10", body))), seconds=1.0)
    assert not proof.usable
    assert words in proof.failure


def test_another_python_says_its_version() -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    assert prove(Candidate("test", sys.executable)).failure.endswith(
        f"this is Python {version}, Lava needs 3.10"
    )


def test_what_is_not_there_or_no_program_says_so(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text")
    for path, words in [(tmp_path / "absent", "No such file"), (plain, "Permission denied")]:
        assert words in prove(Candidate("test", str(path))).failure
    assert prove(Candidate("test", "null\0byte")).failure


def test_libraries_in_other_versions_are_told_apart(tmp_path: Path) -> None:
    good = prove(Candidate("test", str(script(tmp_path / "a", answer()))))
    other = prove(Candidate("test", str(script(tmp_path / "b", answer(numpy="1.25.0")))))
    assert (good.usable, good.version, good.unverified) == (True, "3.10.13", ())
    assert other.usable
    assert other.unverified == ("numpy 1.25.0 (tested: 1.26.4)",)


def test_what_the_user_names_is_the_only_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = default_folder()
    assert folder is not None
    assert [c.python for c in candidates()] == [str(python_in(folder))]
    monkeypatch.setenv(LAVA_PYTHON, "from-variable")
    assert [c.python for c in candidates()] == ["from-variable"]
    assert [c.python for c in candidates("from-option")] == ["from-option"]


def test_an_interpreter_that_is_named_and_does_not_work_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = default_folder()
    assert folder is not None
    script(python_in(folder), answer())
    monkeypatch.setenv(LAVA_PYTHON, str(script(tmp_path / "shim", SHIM)))
    with pytest.raises(LavaEnvironmentError) as caught:
        find_environment()
    for words in (LAVA_PYTHON, str(tmp_path / "shim"), "exit code 127"):
        assert words in caught.value.problem
    assert LAVA_PYTHON in caught.value.hint


def test_the_environment_in_the_cache_is_found(tmp_path: Path) -> None:
    with pytest.raises(LavaEnvironmentError, match="not made yet") as caught:
        find_environment()
    assert "spikec lava setup" in caught.value.hint
    folder = default_folder()
    assert folder is not None
    script(python_in(folder), answer())
    assert find_environment().candidate.python == str(python_in(folder))


def test_an_environment_that_others_may_write_to_is_refused() -> None:
    folder = default_folder()
    assert folder is not None
    script(python_in(folder), answer())
    os.chmod(folder, 0o777)
    with pytest.raises(LavaEnvironmentError, match="others may write"):
        find_environment()


def test_the_environment_of_the_user_does_not_reach_the_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "elsewhere")
    body = f'[ -z "$PYTHONPATH$VIRTUAL_ENV" ] || exit 9\n{answer()}'
    assert prove(Candidate("test", str(script(tmp_path / "python", body)))).usable


def test_a_folder_named_lava_where_the_user_is_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process = tmp_path / "lava" / "magma" / "core" / "process" / "process.py"
    process.parent.mkdir(parents=True)
    process.write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert prove(Candidate("test", lava_python())).usable


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_are_refused_without_running_anything(
    monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert "Linux only" in prove(Candidate("test", "absent")).failure
