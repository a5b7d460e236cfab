"""What ``make`` does, without installing anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the demo needs."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "models", tmp_path / "models")
    return tmp_path


def test_help_names_every_target(checkout: Path) -> None:
    shown = make(checkout, "help").stdout
    assert re.findall(r"^make ([\w-]+)", shown, re.MULTILINE) == [
        *("demo", "test", "test-full", "lava", "clean")
    ]


@pytest.mark.parametrize("python", ["", "false", "no-such-python"])
def test_without_a_fitting_python_one_line_says_so(checkout: Path, python: str) -> None:
    done = make(checkout, f"PYTHON={python}", "demo")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(lines) == 1
    assert "3.11" in lines[0]
    assert not (checkout / ".venv" / "stamp-run").exists()


def test_the_demo_compiles_and_evaluates_the_bundled_network(checkout: Path) -> None:
    # The running environment stands in for the one that make would install.
    environment = checkout / ".venv"
    environment.mkdir()
    (environment / "bin").symlink_to(Path(sys.executable).parent)
    (environment / "made-in").write_text(f"{checkout}\n", encoding="utf-8")
    (environment / "stamp-run").touch()
    done = make(checkout, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (checkout / "fashion_avgpool.spikec").is_file()
    commands = re.findall(r"^\$ spikec (\w+)", done.stdout, re.MULTILINE)
    assert commands == ["compile", "eval"]
    for shown in ("accuracy of the ANN", "agreement", "synops", "pJ"):
        assert shown in done.stdout


STUB = """#!/bin/sh
echo "$(basename "$0") $* with $SPIKEC_LAVA_PYTHON"
case "$(basename "$0") $*" in "spikec lava"*) exit {code};; esac
"""


@pytest.fixture
def stubs(checkout: Path) -> Callable[[int], Path]:
    """Commands in place of an installed environment, where ``spikec lava`` ends with a code."""

    def put(code: int) -> Path:
        environment = checkout / ".venv"
        (environment / "bin").mkdir(parents=True)
        for name in ("python", "spikec"):
            stub = environment / "bin" / name
            stub.write_text(STUB.format(code=code), encoding="utf-8")
            stub.chmod(0o755)
        (environment / "made-in").write_text(f"{checkout}\n", encoding="utf-8")
        for stamp in ("stamp-run", "stamp-dev"):
            (environment / stamp).touch()
        return checkout

    return put


@pytest.mark.parametrize("code", [0, 1])
def test_tests_run_with_and_without_an_environment_for_lava(
    stubs: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.delenv("SPIKEC_LAVA_PYTHON", raising=False)
    folder = stubs(code)
    done = make(folder, "test")
    assert done.returncode == 0, done.stderr
    expected = f"python -m pytest -m not slow with {folder}/.venv-lava/bin/python"
    assert expected in done.stdout
    assert ("are skipped" in done.stderr) == (code == 1)
    assert (make(folder, "lava").returncode != 0) == (code == 1)


def test_an_interpreter_with_lava_that_is_named_is_taken(
    stubs: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKEC_LAVA_PYTHON", "/opt/lava/bin/python")
    done = make(stubs(1), "test")
    assert "with /opt/lava/bin/python" in done.stdout
    assert "spikec lava" not in done.stdout + done.stderr
