"""The command group: every error of a user becomes one line, every ending an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from typer.core import TyperGroup

from spikec.runtime.cli.console import print_json
from spikec.runtime.cli.failure import INTERRUPTED, Failure, failure_of


class CommandGroup(TyperGroup):
    """Runs a command and turns its exception, if any, into a line and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Parse, run, exit; never returns.

        With --json among the arguments, a failure is one JSON object on stdout too.
        """
        given = sys.argv[1:] if args is None else list(args)
        options["standalone_mode"] = False
        try:
            code = super().main(given, *rest, **options)
            sys.stdout.flush()
            if code == INTERRUPTED:  # the parser has caught the interrupt
                raise KeyboardInterrupt
        # KeyboardInterrupt and SystemExit stand beside Exception.
        except (Exception, KeyboardInterrupt) as error:
            failure = failure_of(error)
            if failure is None:
                raise
            code = _told(failure, as_json="--json" in given)
        sys.exit(code if isinstance(code, int) else 0)


def _told(failure: Failure, *, as_json: bool) -> int:
    """Say what happened; the exit code."""
    if failure.text:
        print(failure.text, file=sys.stderr)
    if failure.output_lost:
        _discard_output()
    elif as_json:
        try:
            print_json({"error": failure.details, "exit_code": failure.code})
            sys.stdout.flush()
        except OSError:  # its reader went away, or its disk is full
            _discard_output()
    return failure.code


def _discard_output() -> None:
    """Let go of what stdout still holds, so that Python does not fail again at its end."""
    with suppress(OSError, ValueError):  # stdout may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
