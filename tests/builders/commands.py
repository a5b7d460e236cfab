"""Commands as a user gives them, in this process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from spikec.runtime.cli.application import app


def spikec(*arguments: object) -> Result:
    """What the command of these arguments printed, and its exit code."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
