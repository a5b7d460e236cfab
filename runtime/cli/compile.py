"""spikec compile: an ONNX file in, a program file out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Annotated

import numpy as np
import typer

from spikec.compiler.arrays import Array
from spikec.compiler.errors import CalibrationError, InputError
from spikec.compiler.populations import AdaFire
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.compiler.search_options import DEFAULT_PROFILE, SearchOptions
from spikec.runtime.cli.console import print_json, print_pairs, progress_bars, remark
from spikec.runtime.cli.options import (
    ArrayName,
    AsJson,
    at_least_one,
    errors_in,
    preprocessing,
    sizes,
)
from spikec.runtime.cli.search import (
    AccuracyLoss,
    Compress,
    CompressionRatio,
    EnergyBudget,
    EnergyRatio,
    Latency,
    Modes,
    OneMode,
    PhiMin,
    Profile,
    SearchPhi,
    words,
)
from spikec.runtime.inputs import ImageFiles, open_inputs
from spikec.runtime.inspection import search_rows
from spikec.runtime.output import check_writable

DEFAULT_IMAGES = 256
"""Images drawn from a folder if --images says nothing: as many as calibration uses by default."""


def compile_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file.")],
    calibration: Annotated[
        str,
        typer.Option(
            metavar="FILE[:ARRAY]", help="Inputs like those of later runs: arrays or images."
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where the program goes.")
    ],
    *,
    array: ArrayName = None,
    timesteps: Annotated[
        int, typer.Option("--timesteps", "-T", help="Time steps of a run, 1 or more.")
    ] = 8,
    phi: Annotated[int, typer.Option(help="Most spikes of a neuron per step, 1…255.")] = 4,
    fire: Annotated[str, typer.Option(help="plain, or retract (spikes can be taken back).")] = (
        "plain"
    ),
    windowed: Annotated[
        bool, typer.Option("--windowed", help="Integrate T steps, then fire T steps.")
    ] = False,
    weight_calibration: Annotated[
        str,
        typer.Option(help="none, fit (layer by layer) or gradient (all at once, needs torch)."),
    ] = "none",
    search_phi: SearchPhi = False,
    phi_min: PhiMin = 1,
    modes: Modes = None,
    one_mode: OneMode = False,
    latency: Latency = None,
    compress: Compress = False,
    compression_ratio: CompressionRatio = None,
    energy_ratio: EnergyRatio = None,
    energy_budget: EnergyBudget = None,
    accuracy_loss: AccuracyLoss = None,
    profile: Profile = DEFAULT_PROFILE,
    seed: Annotated[int, typer.Option(help="Of the choice of calibration images.")] = 0,
    images: Annotated[
        int | None, typer.Option(metavar="N", help="Calibration images used at most.")
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option(metavar="C,H,W", help="If the file leaves it open.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Axes of raw inputs: chw, hwc or hw (grey).")
    ] = None,
    scale: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Factor on raw values, for example 1/255.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Subtracted after scaling: a,b,c or one.")
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Divisor after that: a,b,c or one.")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Shorter side, or HEIGHTxWIDTH.")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Cut from the centre: 224 or 224x224.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compile MODEL to an integer spiking program, calibrated on raw or ready inputs.

    Preprocessing is stored in the program; run and eval then take raw inputs too.

    \b
    spikec compile net.onnx --calibration calib.npy -o net.spikec -T 8 --phi 4
    spikec compile net.onnx --calibration calib.npy -o net.spikec -T 16 --windowed
    spikec compile net.onnx --calibration calib.npy -o net.spikec \\
        --search-phi --compress --accuracy-loss 0.5
    spikec compile net.onnx --calibration data.npz:x -o net.spikec \\
        --layout hw --scale 1/255
    spikec compile net.onnx --calibration photos/ -o net.spikec \\
        --layout hwc --resize 256 --crop 224 --scale 1/255 \\
        --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """  # noqa: D301
    from spikec.runtime.compile import compile_model

    at_least_one(images, "--images")
    search = SearchOptions(
        phi=search_phi,
        phi_min=phi_min,
        modes=words(modes),
        uniform_mode=one_mode,
        latency=latency,
        compression=compress,
        compression_ratio=compression_ratio,
        energy_ratio=energy_ratio,
        energy_budget=energy_budget,
        accuracy_loss=accuracy_loss,
        profile=profile,
    )
    steps = preprocessing(scale, mean, std, layout, (resize, crop))
    check_writable(output)
    raw = _calibration(calibration, array, steps, (images or DEFAULT_IMAGES, seed))
    started = time.monotonic()
    with errors_in(calibration, array), progress_bars("steps") as bars:
        program = compile_model(
            model,
            raw,
            timesteps=timesteps,
            phi=phi,
            fire=fire,
            windowed=windowed,
            weight_calibration=weight_calibration,
            search=search,
            seed=seed,
            preprocessing=steps,
            input_shape=sizes(input_shape, "--input-shape") or None,
            calibration_images=images,
            progress=bars.stage,
        )
    for warning in _warnings(program):
        remark(f"warning: {warning}")
    program.save(output)
    _print(program, output, time.monotonic() - started, as_json=as_json)


def _calibration(
    spec: str, array: str | None, steps: Preprocessing | None, draw: tuple[int, int]
) -> Array | Iterable[Array]:
    """Calibration inputs: an array, or images decoded batch by batch.

    Args:
        spec: Where they are.
        array: Name of the array in a .npz file.
        steps: Preprocessing that the compiler applies.
        draw: Number of images drawn from a folder, and the seed.
    """
    try:
        source = open_inputs(spec, steps.layout if steps else "", array)
    except InputError as error:
        raise CalibrationError(error.problem, error.where, error.hint) from error.__cause__
    if not isinstance(source, ImageFiles):
        return source
    number, seed = draw
    if number < len(source):
        drawn = np.random.default_rng(seed).choice(len(source), number, replace=False)
        source = ImageFiles(tuple(source.paths[i] for i in sorted(drawn)), source.layout)
    # One by one: images of a folder may have different sizes until they are preprocessed.
    return (source[i : i + 1][0][None] for i in range(len(source)))


def _warnings(program: Program) -> list[str]:
    found = json.loads(program.provenance.get("warnings", "[]"))
    return [str(warning) for warning in found]


def _payloads(program: Program) -> str:
    """φ of the firing populations: one number, or the smallest and the largest."""
    found = sorted({p.phi for p in program.populations if isinstance(p, AdaFire)})
    return " … ".join(map(str, dict.fromkeys((found[0], found[-1])))) if found else "none"


def _print(program: Program, output: str, seconds: float, *, as_json: bool) -> None:
    size = os.path.getsize(output)
    neurons = sum(int(np.prod(population.shape)) for population in program.populations)
    if as_json:
        print_json(
            {
                "output": output,
                "digest": program.digest,
                "search": json.loads(program.provenance.get("search", "[]")),
                "warnings": _warnings(program),
                "bytes": size,
                "seconds": round(seconds, 3),
                "timesteps": program.timesteps,
                "populations": len(program.populations),
                "connections": len(program.connections),
                "neurons": neurons,
            }
        )
        return
    print_pairs(
        [
            ("program", f"{output} ({size:,} bytes)"),
            ("digest", program.digest[:16]),
            ("time steps T", str(program.timesteps)),
            ("largest payload φ", _payloads(program)),
            ("populations", f"{len(program.populations)} with {neurons:,} neurons"),
            ("connections", str(len(program.connections))),
            *search_rows(program),
            ("compiled in", f"{seconds:.1f} s"),
        ]
    )
