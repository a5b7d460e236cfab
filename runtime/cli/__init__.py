"""The command line: check, compile, run, eval, inspect, verify, doctor, lava."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        # Here and not above: an interrupt while half a second of imports goes on is an ending
        # like any other.
        from spikec.runtime.cli.application import app
    except KeyboardInterrupt:
        print("interrupted; no file is half-written", file=sys.stderr)
        sys.exit(130)
    app(prog_name="spikec")
