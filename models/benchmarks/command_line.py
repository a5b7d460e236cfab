"""What measurements of accuracy ask for on the command line, and where they tell their progress."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikec.compiler.errors import CompileError


def measuring(description: str | None, examples: str, results: str) -> argparse.ArgumentParser:
    """A command line with the options that all measurements of accuracy have.

    Args:
        description: What is measured.
        examples: Printed behind the options.
        results: File of finished cells where the user names none.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    folder = os.environ.get("SPIKEC_DATA")
    add("--data", type=Path, default=folder, required=folder is None, help="data folder")
    add("--seeds", type=count, default=3, help="number of calibration seeds (3)")
    add("--images", type=int, default=0, help="first so many test images; 0: all")
    text = f"finished cells; remove it to measure anew ({results})"
    add("--results", type=Path, default=Path(results), help=text)
    return parser


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """What spikec refuses ends a measurement with its message and hint, without a traceback."""
    try:
        yield
    except CompileError as error:
        raise SystemExit(str(error)) from error


def note(line: str) -> None:
    """Progress goes to standard error, tables to standard output."""
    print(line, file=sys.stderr, flush=True)
