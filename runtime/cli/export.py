"""spikec export: a program as source for another framework."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spikec.runtime.cli.console import print_json, print_pairs
from spikec.runtime.cli.options import AsJson, ProgramFile, at_least_one, payloads_of
from spikec.runtime.report import Json


class ProcessChoice(StrEnum):
    """Which processes an export is made of."""

    AUTO = "auto"
    OWN = "own"
    STOCK = "stock"


def export_lava(
    program: ProgramFile,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    inputs: Annotated[
        str | None,
        typer.Option(metavar="FILE[:ARRAY]", help="Its first inputs are; by default random ones."),
    ] = None,
    samples: Annotated[int, typer.Option(metavar="N", help="How many inputs to write.")] = 2,
    *,
    processes: Annotated[
        ProcessChoice,
        typer.Option(help="Lava's Dense, Sparse, Conv where exact (auto: and quick), or our own."),
    ] = ProcessChoice.AUTO,
    as_json: AsJson = False,
) -> None:
    """Write PROGRAM as Lava processes that run without spikec, with inputs and expected results.

    \b
    spikec export lava net.spikec net_lava/
    spikec export lava net.spikec net_lava/ --inputs data.npz:test_x --samples 4
    """  # noqa: D301
    from spikec.backends.lava.export import check_folder, export
    from spikec.backends.lava.lowering import Processes
    from spikec.compiler.program_file import load
    from spikec.runtime.session import backend_named

    at_least_one(samples, "--samples")
    check_folder(Path(folder))
    loaded = load(program)
    payloads = payloads_of(loaded, inputs, samples)
    expected = backend_named("simulator").run(loaded, payloads).readout
    choice = Processes(processes)
    export(loaded, Path(folder), payloads, expected, processes=choice)
    written: dict[str, Json] = {"folder": folder, "inputs": len(payloads), "digest": loaded.digest}
    if as_json:
        print_json(written)
    else:
        print_pairs([("written", folder), ("how to run it", str(Path(folder) / "README.md"))])


def export_application() -> typer.Typer:
    """The group of commands."""
    application = typer.Typer(rich_markup_mode="rich")
    application.callback()(_root)
    application.command("lava")(export_lava)
    return application


def _root() -> None:
    """A program as source for another framework.

    \b
    spikec export lava net.spikec net_lava/
    """  # noqa: D301
