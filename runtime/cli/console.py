"""What the command line prints: tables and JSON on stdout, progress and remarks on stderr."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from spikec.runtime.report import Json
from spikec.runtime.tables import Row

PATIENCE_SECONDS = 60.0
"""Work that takes longer than this is announced."""

_WIDTH_IN_A_FILE = 100

_NARROWEST_NAME = 12
"""Characters of a name that stay on one line."""

_WIDEST_HEADING = 16
"""Characters of a column of numbers; a longer heading goes on in the next line."""


def print_json(content: Json) -> None:
    """Exactly one JSON object on stdout."""
    json.dump(content, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def print_table(title: str, header: Row, rows: Sequence[Row], text_columns: int = 1) -> None:
    """A table on stdout; all columns but the first few are numbers and stand to the right.

    Names are folded where the terminal is narrow; numbers never are, nor cut off.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(header))
    widths = [max(len(row[index]) for row in rows) for index in range(len(header))]
    for index, (name, width) in enumerate(zip(header, widths, strict=True)):
        text = index < text_columns
        table.add_column(
            escape(name if text else _in_lines(name)),
            justify="left" if text else "right",
            overflow="fold",
            no_wrap=not text,
            min_width=min(width, _NARROWEST_NAME) if text else width,
            vertical="bottom",
        )
    for row in rows:
        table.add_row(*map(escape, row))
    console = _stdout()
    # Not as the table's title, which is broken to the width of the table.
    console.print(escape(title), style="bold", soft_wrap=True)
    # A table that needs more goes past the edge of the terminal instead of losing digits.
    headings = [max(map(len, _in_lines(name).splitlines()), default=0) for name in header]
    least = (max(c.min_width or 0, w) for c, w in zip(table.columns, headings, strict=True))
    console.width = max(console.width, sum(least) + 2 * len(header))
    console.print(table)
    console.print()


def _in_lines(heading: str) -> str:
    return "\n".join(textwrap.fill(line, _WIDEST_HEADING) for line in heading.splitlines())


def print_note(text: str, indent: int = 0) -> None:
    """A paragraph on stdout, broken between words."""
    _stdout().print(Padding(escape(text), (0, 0, 0, indent), expand=False))


def print_pairs(rows: Sequence[Row]) -> None:
    """Lines of name and value on stdout."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    print()


def remark(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


def _stdout() -> Console:
    terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if terminal else _WIDTH_IN_A_FILE, highlight=False)


class Bars:
    """Progress bars on stderr, one per stage; says beforehand when a stage will take long.

    Args:
        progress: Where the bars are drawn.
        unit: What is counted.
    """

    def __init__(self, progress: Progress, unit: str) -> None:
        self._progress = progress
        self._unit = unit
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._announced: set[str] = set()

    def stage(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are finished in a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(escape(stage), total=total)
            self._started.setdefault(stage, time.monotonic())
        self._progress.update(self._tasks[stage], completed=done, total=total)
        self._announce(stage, done, total)

    def start(self, stage: str) -> None:
        """Take the time from now."""
        self._started[stage] = time.monotonic()

    def _announce(self, stage: str, done: int, total: int) -> None:
        if stage in self._announced or not 0 < done < total:
            return
        left = (time.monotonic() - self._started[stage]) / done * (total - done)
        self._announced.add(stage)
        if left > PATIENCE_SECONDS:
            text = f"{stage}: about {left / 60:.0f} min for {total - done:,} {self._unit}"
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bars(unit: str) -> Iterator[Bars]:
    """Bars that are drawn while the block runs, and gone afterwards."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield Bars(progress, unit)
