"""The README shows nothing that does not run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spikec.compiler.ops import supported_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_operator_table_is_the_one_of_the_op_table() -> None:
    assert supported_table().strip() in README


def test_both_commands_are_shown() -> None:
    assert "make demo" in README
    assert "make test" in README


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_every_python_example_runs(block: str, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(ROOT / "models")
    script = tmp_path / "example.py"
    script.write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(10, 10) 0.9")


def test_every_command_and_folder_that_is_named_exists() -> None:
    for folder in re.findall(r"^\| `(\w+/)` \|", README, re.MULTILINE):
        assert (ROOT / folder).is_dir()
    for command in re.findall(r"^spikec (\w+) +net", README, re.MULTILINE):
        assert (ROOT / "runtime" / "cli" / f"{command}.py").is_file()
    for script in re.findall(r"`python (models/[\w/]+\.py)", README):
        assert (ROOT / script).is_file()
