"""spikec inspect: what stands in a program file."""

from __future__ import annotations

from spikec.runtime.cli.console import print_json, print_note, print_pairs, print_table
from spikec.runtime.cli.options import AsJson, ProgramFile


def inspect_command(program: ProgramFile, as_json: AsJson = False) -> None:
    """Show populations, connections, thresholds, operations and origin of PROGRAM.

    \b
    spikec inspect net.spikec
    spikec inspect net.spikec --json
    """  # noqa: D301
    from spikec.compiler.program_file import load
    from spikec.runtime import inspection

    loaded = load(program)
    if as_json:
        print_json(inspection.program_dict(loaded))
        return
    print_pairs(inspection.head_rows(loaded))
    print_table(
        "populations",
        inspection.POPULATION_HEADER,
        inspection.population_rows(loaded),
        text_columns=4,
    )
    print_table("parameters", inspection.PARAMETER_HEADER, inspection.parameter_rows(loaded))
    print_table(
        "connections",
        inspection.CONNECTION_HEADER,
        inspection.connection_rows(loaded),
        text_columns=2,
    )
    print_note(inspection.LEGEND)
