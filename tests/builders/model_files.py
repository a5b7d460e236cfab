"""Real networks and broken files for tests: in SPIKEC_DATA, or beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"

FOLDER = Path(os.environ.get("SPIKEC_DATA", _BESIDE))


def files(folder: str) -> list[Path]:
    """The ONNX files of a folder, sorted; none where the data is absent."""
    return sorted((FOLDER / folder).glob("*.onnx"))


def file(name: str) -> Path:
    """One file; the test is skipped where it is absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not in SPIKEC_DATA ({FOLDER})")
    return path
