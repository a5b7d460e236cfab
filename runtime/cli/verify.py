"""spikec verify: whether backends compute the same integers, layer by layer."""

from __future__ import annotations

from typing import Annotated

import typer

from spikec.backends.base import Backend
from spikec.compiler.errors import OptionError
from spikec.runtime.cli.console import (
    Bars,
    print_json,
    print_note,
    print_pairs,
    print_table,
    progress_bars,
    remark,
)
from spikec.runtime.cli.options import (
    AsJson,
    GranularityName,
    ProgramFile,
    at_least_one,
    payloads_of,
)
from spikec.runtime.verify import BackendAgreement, Difference, LayerAgreement, Verification


def verify_command(
    program: ProgramFile,
    against: Annotated[
        str, typer.Option(help="lava, or simulator alone; the golden model always runs.")
    ] = "lava",
    *,
    samples: Annotated[int, typer.Option(metavar="N", help="Inputs that are run.")] = 2,
    inputs: Annotated[
        str | None,
        typer.Option(metavar="FILE[:ARRAY]", help="The first N of these; by default random ones."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random inputs.")] = 0,
    granularity: GranularityName = None,
    as_json: AsJson = False,
) -> None:
    """Run PROGRAM on the golden model, the simulator and Lava; compare every spike and membrane.

    Exit code 0 if all integers are equal, else 1, with the first that differs.

    \b
    spikec verify net.spikec --against lava
    spikec verify net.spikec --inputs data.npz:test_x --samples 4
    spikec verify net.spikec --granularity network --json
    """  # noqa: D301
    from spikec.compiler.program_file import load
    from spikec.runtime.verify import verify

    at_least_one(samples, "--samples")
    loaded = load(program)
    with progress_bars("steps") as bars:
        backends = _backends(against, granularity, bars)
        result = verify(loaded, payloads_of(loaded, inputs, samples, seed), backends, _announce)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)
    if not result.equal:
        raise typer.Exit(1)


def _announce(name: str) -> None:
    remark(f"running {name}")


def _backends(against: str, granularity: str | None, bars: Bars) -> list[Backend]:
    from spikec.backends.lava.backend import LavaBackend
    from spikec.runtime.session import backend_named

    if against not in ("lava", "simulator"):
        problem = f"--against is {against!r}"
        raise OptionError(problem, hint="choose lava or simulator")
    found = [backend_named("simulator")]
    if against == "lava":
        lava = LavaBackend(
            granularity=granularity or "layer",
            step_progress=lambda done, total: bars.stage("lava", done, total),
        )
        lava.prepare()  # before the others run in vain
        found.append(lava)
    elif granularity is not None:
        raise OptionError("--granularity is about Lava", hint="leave it out, or --against lava")
    return found


def _print(result: Verification) -> None:
    names = [backend.name for backend in result.backends]
    rows = [
        (
            layers[0].name,
            layers[0].kind,
            f"{layers[0].neurons:,}",
            f"{layers[0].spikes:,}" if layers[0].kind != "readout" else "–",
            *(_verdict(layer) for layer in layers),
        )
        for layers in zip(*(backend.layers for backend in result.backends), strict=True)
    ]
    images = "1 input" if result.images == 1 else f"{result.images} inputs"
    title = f"held against the golden model on {images}, {result.timesteps} time steps"
    print_table(title, ("layer", "kind", "neurons", "spikes", *names), rows, text_columns=2)
    print_pairs(
        [
            ("reference", f"{result.seconds:.1f} s"),
            *((backend.name, _summary(backend)) for backend in result.backends),
        ]
    )
    for backend in result.backends:
        if backend.first is not None:
            print_note(f"first difference of {backend.name}: {_words(backend.first)}")
    if silent := [row[0] for row in rows if row[3] == "0"]:
        print_note(f"silent, so that equality says little: {', '.join(silent)}")


def _verdict(layer: LayerAgreement) -> str:
    if layer.first is None:
        return "equal"
    return f"{layer.differing:,} of {layer.compared:,} differ"


def _summary(backend: BackendAgreement) -> str:
    compared = sum(layer.compared for layer in backend.layers)
    differing = sum(layer.differing for layer in backend.layers)
    verdict = f"{differing:,} differ" if differing else "all equal"
    return f"{backend.seconds:.1f} s, {compared:,} integers, {verdict}"


def _words(difference: Difference) -> str:
    place = f"{difference.layer}, {difference.quantity}, input {difference.image}"
    neuron = f", neuron {difference.neuron}" if difference.neuron else ""
    values = f"{difference.actual:,} instead of {difference.expected:,}"
    return f"{place}, step {difference.step}{neuron}: {values}"
