"""spikec inspect: what stands in a program file, and where its errors come from."""

from __future__ import annotations

from typing import Annotated

import typer

from spikec.compiler.errors import OptionError
from spikec.compiler.program import Program
from spikec.runtime.cli.console import (
    print_json,
    print_note,
    print_pairs,
    print_table,
    progress_bars,
    remark,
)
from spikec.runtime.cli.options import ArrayName, AsJson, ProgramFile, at_least_one, errors_in

DEFAULT_COUNT = 256
"""Images that errors are measured on if --count says nothing."""


def inspect_command(
    program: ProgramFile,
    errors: Annotated[
        bool, typer.Option("--errors", help="Split the error of every layer into its causes.")
    ] = False,
    ann: Annotated[
        str | None, typer.Option(metavar="MODEL", help="For --errors: the ONNX file.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(metavar="FILE[:ARRAY]", help="For --errors: inputs.")
    ] = None,
    *,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", help=f"For --errors: first N images; {DEFAULT_COUNT}."),
    ] = None,
    array: ArrayName = None,
    as_json: AsJson = False,
) -> None:
    """Show populations, connections, thresholds, operations and origin of PROGRAM.

    With --errors: by how much each layer differs from the ANN, why, what that alone does to the
    output, and what would help. Inputs that were not calibrated on tell most.

    \b
    spikec inspect net.spikec
    spikec inspect net.spikec --json
    spikec inspect net.spikec --errors --ann net.onnx --images data.npz:x --count 500
    """  # noqa: D301
    from spikec.compiler.program_file import load

    if not errors and (ann, images, count, array) != (None, None, None, None):
        raise OptionError(
            "--ann, --images, --count and --array belong to --errors", hint="add --errors"
        )
    if errors and (ann is None or images is None):
        raise OptionError(
            "--errors needs the ANN and inputs", hint="add --ann net.onnx --images data.npz:x"
        )
    at_least_one(count, "--count")
    loaded = load(program)
    if ann is not None and images is not None:
        _print_errors(loaded, ann, (images, array), count or DEFAULT_COUNT, as_json=as_json)
    else:
        _print_program(loaded, as_json=as_json)


def _print_program(program: Program, *, as_json: bool) -> None:
    from spikec.runtime import inspection

    if as_json:
        print_json(inspection.program_dict(program))
        return
    print_pairs(inspection.head_rows(program))
    print_table(
        "populations",
        inspection.POPULATION_HEADER,
        inspection.population_rows(program),
        text_columns=4,
    )
    print_table("parameters", inspection.PARAMETER_HEADER, inspection.parameter_rows(program))
    print_table(
        "connections",
        inspection.CONNECTION_HEADER,
        inspection.connection_rows(program),
        text_columns=2,
    )
    print_note(inspection.LEGEND)


def _print_errors(
    program: Program, ann: str, images: tuple[str, str | None], count: int, *, as_json: bool
) -> None:
    from spikec.runtime import error_tables
    from spikec.runtime.error_budget import error_budget
    from spikec.runtime.inputs import inputs_for

    source = inputs_for(program, *images)
    with errors_in(*images), progress_bars("images") as bars:
        budget = error_budget(
            program,
            ann,
            source,
            count=count,
            progress=lambda done, total: bars.stage("errors", done, total),
        )
    for warning in budget.warnings:
        remark(f"warning: {warning}")
    if as_json:
        print_json(budget.to_dict())
        return
    print_pairs(error_tables.budget_rows(budget))
    header = error_tables.part_header(budget.layers)
    print_table("errors, %", header, error_tables.part_rows(budget.layers))
    print_note(error_tables.PART_LEGEND)
    print()
    effects = error_tables.effect_rows(budget.layers)
    print_table("what each costs", error_tables.EFFECT_HEADER, effects)
    print_note(error_tables.EFFECT_LEGEND)
    print()
    print_table("what costs most", ("", ""), error_tables.cause_rows(budget.causes))
    print_note(error_tables.CAUSE_LEGEND)
    print()
    for line in error_tables.advice_lines(budget.advice):
        print_note(line)
