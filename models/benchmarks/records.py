"""Finished cells of a measurement, kept in a file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar


class Keyed(Protocol):
    """A dataclass that says what it was measured of."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def key(self) -> Hashable:
        """What was measured."""


Kind = TypeVar("Kind", bound=Keyed)


def finished(file: Path, kind: type[Kind]) -> dict[Hashable, Kind]:
    """Cells of earlier measurements; a line that was cut off does not count."""
    cells = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            cell = kind(**json.loads(line))
        except (ValueError, TypeError):
            continue
        cells[cell.key] = cell
    return cells


def append(cell: Keyed, file: Path) -> None:
    """Add a line to the file, a new one even where the last line was cut off."""
    written = file.read_bytes() if file.exists() else b""
    cut_off = written != b"" and not written.endswith(b"\n")
    with file.open("a", encoding="utf-8") as lines:
        lines.write("\n" * cut_off + json.dumps(asdict(cell)) + "\n")
