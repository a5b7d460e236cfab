"""Commands as a user gives them, in this process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from spikec.runtime.cli.application import app


def spikec(*arguments: object) -> Result:
    """What the command of these arguments printed, and its exit code."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(result: Result, code: int, *words: str) -> None:
    """The command ended with this code, nothing on stdout, and one clear error on stderr."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    error = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
