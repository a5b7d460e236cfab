"""spikec eval: accuracy, agreement with the ANN, spikes and energy on a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.errors import CompileError
from spikec.runtime.array_files import split_array_name
from spikec.runtime.cli.console import (
    print_json,
    print_note,
    print_pairs,
    print_table,
    progress_bars,
    remark,
)
from spikec.runtime.cli.options import (
    ArrayName,
    AsJson,
    BackendName,
    InputFile,
    NoExit,
    ProgramFile,
    Threads,
    at_least_one,
    errors_in,
)
from spikec.runtime.inputs import ImageFiles, checked_labels, first_images, inputs_for, read_labels
from spikec.runtime.report import Report
from spikec.runtime.tables import (
    LAYER_DETAILS_HEADER,
    LAYER_HEADER,
    LAYER_LEGEND,
    TERM_HEADER,
    estimate_header,
    estimate_rows,
    exit_rows,
    layer_energy_rows,
    layer_rows,
    left_out,
    step_rows,
    summary_rows,
    term_rows,
)


def eval_command(
    program: ProgramFile,
    inputs: InputFile,
    labels: Annotated[
        str | None,
        typer.Option(metavar="FILE[:ARRAY]", help="Class per image; :ARRAY is in INPUT's file."),
    ] = None,
    ann: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The ONNX file, run on the same inputs."),
    ] = None,
    *,
    limit: Annotated[int | None, typer.Option(metavar="N", help="First N images only.")] = None,
    array: ArrayName = None,
    backend: BackendName = "simulator",
    threads: Threads = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Images at once; by default as memory allows.")
    ] = None,
    costs: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE", help="Cost table: a name or a TOML file; may be repeated."),
    ] = None,
    no_exit: NoExit = False,
    details: Annotated[
        bool, typer.Option("--details", help="Also every term and layer of the estimates.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate PROGRAM on INPUT: accuracy at every step, firing rates, operations, energy.

    A folder with one subfolder of images per class holds its own labels.

    \b
    spikec eval net.spikec data.npz:test_x --labels data.npz:test_y
    spikec eval net.spikec data.npz:test_x --labels :test_y --ann net.onnx
    spikec eval net.spikec photos/ --costs loihi1_2018 --json
    """  # noqa: D301
    from spikec.compiler.program_file import load
    from spikec.runtime.cost_tables import load_cost_table
    from spikec.runtime.evaluate import evaluate, number_of_classes
    from spikec.runtime.exits import WINDOWS_NOTE, whole_runs
    from spikec.runtime.session import backend_named

    at_least_one(limit, "--limit")
    at_least_one(threads, "--threads")
    tables = tuple(load_cost_table(name) for name in costs or ())
    loaded = load(program)
    chosen = backend if threads is None else backend_named(backend, threads)
    source = inputs_for(loaded, inputs, array)
    classes = _labels(labels, source, inputs, number_of_classes(loaded))
    with errors_in(inputs, array), progress_bars("images") as bars:
        bars.start("eval")
        report = evaluate(
            loaded,
            first_images(source, limit),
            None if classes is None else classes[:limit],
            ann,
            chosen,
            batch_size=batch_size,
            progress=lambda done, total: bars.stage("eval", done, total),
            cost_tables=tables,
            exit=not no_exit,
        )
    if classes is None:
        remark("no labels are given: no accuracy, only counts and, with --ann, agreement")
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report, details=details)
        if report.exit_histogram and whole_runs(loaded).updated:
            print_note(WINDOWS_NOTE)


def _labels(
    spec: str | None, source: Array | ImageFiles, inputs: str, classes: int | None
) -> Int64 | None:
    """Labels of all images, from a file (``:array`` alone names one in the input's file)."""
    if spec is not None:
        if spec.startswith(":"):
            spec = split_array_name(inputs)[0] + spec
        try:
            return checked_labels(read_labels(spec), len(source), classes)
        except CompileError as error:
            raise error.in_file(spec) from None
    if isinstance(source, ImageFiles) and source.classes is not None:
        with errors_in(inputs):
            return checked_labels(source.classes, len(source), classes)
    return None


def _print(report: Report, *, details: bool) -> None:
    print_pairs(summary_rows(report))
    if rows := step_rows(report) if report.accuracy_by_step else []:
        print_table("accuracy after each time step, %", ("",) * len(rows[0]), rows)
    if rows := exit_rows(report) if report.exit_histogram else []:
        print_table("images that left after each time step", ("",) * len(rows[0]), rows)
    header = LAYER_DETAILS_HEADER if details else LAYER_HEADER
    print_table("counted per image", header, layer_rows(report.layers, details=details))
    print_note(LAYER_LEGEND)
    print()
    for profile in report.energy:
        title = f"energy per image, estimate: {profile.table.title}"
        print_table(title, estimate_header(profile), estimate_rows(profile))
        if details:
            print_table("its terms", TERM_HEADER, term_rows(profile), text_columns=2)
            names = tuple(estimate.name for estimate in profile.estimates)
            print_table("by layer", ("layer", *names), layer_energy_rows(profile))
        for note in left_out(profile):
            print_note(note)
        print()
