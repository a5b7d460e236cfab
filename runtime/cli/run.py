"""spikec run: outputs, and spikes on request, of a program on some inputs."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from spikec.backends.base import Backend
from spikec.compiler.arrays import Array
from spikec.runtime.cli.console import print_json, print_pairs, progress_bars
from spikec.runtime.cli.options import (
    ArrayName,
    AsJson,
    BackendName,
    GranularityName,
    InputFile,
    NoExit,
    ProgramFile,
    Threads,
    at_least_one,
    errors_in,
)
from spikec.runtime.counts import FIRING
from spikec.runtime.output import check_writable, written_beside
from spikec.runtime.session import Run
from spikec.runtime.tables import quantity


def run_command(
    program: ProgramFile,
    inputs: InputFile,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE.npz", help="Where the outputs go.")
    ],
    spikes: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER", help="Also save this layer's spikes; may be repeated."),
    ] = None,
    *,
    limit: Annotated[int | None, typer.Option(metavar="N", help="First N images only.")] = None,
    array: ArrayName = None,
    backend: BackendName = "simulator",
    threads: Threads = None,
    granularity: GranularityName = None,
    no_exit: NoExit = False,
    as_json: AsJson = False,
) -> None:
    """Run PROGRAM on INPUT and save outputs, outputs_by_step and predictions as arrays.

    \b
    spikec run net.spikec data.npz:test_x -o out.npz
    spikec run net.spikec photos/ -o out.npz --limit 10
    spikec run net.spikec data.npz:x -o out.npz --spikes conv1 --limit 4
    spikec run net.spikec data.npz:x -o out.npz --backend lava --limit 1
    """  # noqa: D301
    from spikec.compiler.program_file import load
    from spikec.runtime.inputs import first_images, inputs_for
    from spikec.runtime.session import Session, backend_named

    at_least_one(limit, "--limit")
    at_least_one(threads, "--threads")
    loaded = load(program)
    if granularity is not None:
        chosen: str | Backend = backend_named(backend, threads, granularity)
    else:
        chosen = backend if threads is None else backend_named(backend, threads)
    session = Session(loaded, chosen)
    source = first_images(inputs_for(loaded, inputs, array), limit)
    check_writable(output)
    with errors_in(inputs, array), progress_bars("images") as bars:
        bars.start("run")
        result = session.run(
            source,
            spikes or (),
            lambda done, n: bars.stage("run", done, n),
            exit=not no_exit,
        )
    with written_beside(output) as beside, beside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **_arrays(result))
    _print(result, output, as_json=as_json)


def _print(result: Run, output: str, *, as_json: bool) -> None:
    if as_json:
        classes = None if result.predictions is None else result.predictions.tolist()
        left = None if result.exits is None else result.exits.tolist()
        print_json(
            {
                "output": output,
                "images": len(result.outputs),
                "predictions": classes,
                "exits": left,
            }
        )
    else:
        emitted = sum(
            int(layer.spikes.sum()) for layer in result.counts.values() if layer.kind in FIRING
        )
        print_pairs(
            [
                ("images", str(len(result.outputs))),
                ("spikes", quantity(emitted)),
                *_exits(result),
                ("output", output),
            ]
        )


def _arrays(result: Run) -> dict[str, Array]:
    arrays: dict[str, Array] = {
        "outputs": result.outputs,
        "outputs_by_step": result.outputs_by_step,
        "results": result.results,
    }
    if result.predictions is not None:
        arrays["predictions"] = result.predictions
    if result.exits is not None:
        arrays["exits"] = result.exits
    arrays |= {f"spikes/{name}": payloads for name, payloads in result.spikes.items()}
    return arrays


def _exits(result: Run) -> list[tuple[str, str]]:
    if result.exits is None:
        return []
    return [("mean time steps", f"{result.exits.mean():.2f} of {result.outputs_by_step.shape[1]}")]
