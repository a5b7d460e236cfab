"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from spikec.runtime.cli.check import check
from spikec.runtime.cli.compile import compile_command
from spikec.runtime.cli.doctor import doctor
from spikec.runtime.cli.eval import eval_command
from spikec.runtime.cli.export import export_application
from spikec.runtime.cli.group import CommandGroup
from spikec.runtime.cli.inspect import inspect_command
from spikec.runtime.cli.lava import lava_application
from spikec.runtime.cli.run import run_command
from spikec.runtime.cli.verify import verify_command


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"spikec {version('spikec')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compile trained networks to integer spiking programs, run them and count what they cost.

    \b
    spikec check net.onnx
    spikec compile net.onnx --calibration data.npz:x --scale 1/255 -o net.spikec
    spikec eval net.spikec data.npz:test_x --labels :test_y --ann net.onnx
    spikec inspect net.spikec
    spikec verify net.spikec --against lava
    """  # noqa: D301


def _application() -> typer.Typer:
    application = typer.Typer(
        name="spikec",
        cls=CommandGroup,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    application.callback()(_root)
    application.command("check")(check)
    application.command("compile")(compile_command)
    application.command("run")(run_command)
    application.command("eval")(eval_command)
    application.command("inspect")(inspect_command)
    application.command("verify")(verify_command)
    application.command("doctor")(doctor)
    application.add_typer(lava_application(), name="lava")
    application.add_typer(export_application(), name="export")
    return application


app = _application()
