"""What ``make`` does, without installing anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
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
        *("demo", "test", "test-full", "clean")
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
