"""spikec compile: an ONNX file in, a program file out."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterable
from typing import Annotated

import numpy as np
import typer

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.errors import CalibrationError, CompileWarning, InputError
from spikec.compiler.pipelines import DEFAULT_PIPELINE
from spikec.compiler.populations import AdaFire
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.runtime.cli.calibration import (
    CalibratePotentials,
    ExitLoss,
    ExitProven,
    ExitRuleName,
    ExtraNeurons,
    Labels,
    Memory,
    Passes,
    Pipeline,
    ReuseSilent,
    ThresholdImages,
    ThresholdPer,
    ThresholdPercentile,
    Thresholds,
    WeightCalibration,
    given_options,
)
from spikec.runtime.cli.console import print_json, print_pairs, progress_bars, remark
from spikec.runtime.cli.exits import check_exits, exit_facts, exit_rows, labels_of
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
)
from spikec.runtime.copied_channels import added_neurons, copy_rows
from spikec.runtime.inputs import ImageFiles, open_inputs
from spikec.runtime.inspection import search_rows
from spikec.runtime.output import check_writable

DEFAULT_IMAGES = 256
"""Images drawn from a folder if --images says nothing: as many as calibration uses by default."""


def compile_command(
    context: typer.Context,
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
    pipeline: Pipeline = DEFAULT_PIPELINE,
    passes: Passes = None,
    weight_calibration: WeightCalibration = None,
    thresholds: Thresholds = None,
    threshold_percentile: ThresholdPercentile = None,
    threshold_per: ThresholdPer = None,
    threshold_images: ThresholdImages = None,
    memory: Memory = None,
    calibrate_potentials: CalibratePotentials = None,
    reuse_silent: ReuseSilent = None,
    extra_neurons: ExtraNeurons = None,
    exit_loss: ExitLoss = None,
    exit_proven: ExitProven = None,
    exit_rule: ExitRuleName = None,
    labels: Labels = None,
    search_phi: SearchPhi = None,
    phi_min: PhiMin = None,
    modes: Modes = None,
    one_mode: OneMode = None,
    latency: Latency = None,
    compress: Compress = None,
    compression_ratio: CompressionRatio = None,
    energy_ratio: EnergyRatio = None,
    energy_budget: EnergyBudget = None,
    accuracy_loss: AccuracyLoss = None,
    profile: Profile = None,
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
    spikec compile net.onnx --calibration calib.npy -o net.spikec --exit-loss 1.0 --images 512
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
    given = {"--exit-rule": exit_rule, "--exit-proven": exit_proven, "--labels": labels}
    check_exits(exit_loss, given)
    steps = preprocessing(scale, mean, std, layout, (resize, crop))
    check_writable(output)
    draw = (images or DEFAULT_IMAGES, threshold_images or 0, seed)
    raw, chosen = _calibration(calibration, array, steps, draw)
    classes = labels_of(labels, calibration, chosen)
    started = time.monotonic()
    with errors_in(calibration, array), progress_bars("steps") as bars, warnings.catch_warnings():
        warnings.simplefilter("ignore", CompileWarning)  # they are printed below
        program = compile_model(
            model,
            raw,
            timesteps=timesteps,
            phi=phi,
            fire=fire,
            windowed=windowed,
            labels=classes,
            pipeline=pipeline,
            **given_options(context.params),
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
    spec: str, array: str | None, steps: Preprocessing | None, draw: tuple[int, int, int]
) -> tuple[Array | Iterable[Array], Array | None]:
    """Calibration inputs: an array, or images decoded batch by batch.

    Args:
        spec: Where they are.
        array: Name of the array in a .npz file.
        steps: Preprocessing that the compiler applies.
        draw: Number of images drawn from a folder, of those streamed for thresholds, and the seed.

    Returns:
        The inputs, and which of the images of a folder they are; None for all.
    """
    try:
        source = open_inputs(spec, steps.layout if steps else "", array)
    except InputError as error:
        raise CalibrationError(error.problem, error.where, error.hint) from error.__cause__
    if not isinstance(source, ImageFiles):
        return source, None
    number, streamed, seed = draw
    random = np.random.default_rng(seed)
    drawn = None
    if streamed > number:  # the first are held for all else: they are drawn as well
        drawn = random.permutation(len(source))[:streamed]
    elif number < len(source):
        drawn = np.sort(random.choice(len(source), number, replace=False))
    if drawn is not None:
        source = _chosen(source, drawn)
    # One by one: images of a folder may have different sizes until they are preprocessed.
    return (source[i : i + 1][0][None] for i in range(len(source))), drawn


def _chosen(source: ImageFiles, order: Int64) -> ImageFiles:
    return ImageFiles(tuple(source.paths[i] for i in order), source.layout)


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
                "copies": json.loads(program.provenance.get("copies", "{}")),
                "added_neurons": added_neurons(program),
                "bytes": size,
                "seconds": round(seconds, 3),
                "timesteps": program.timesteps,
                "populations": len(program.populations),
                "connections": len(program.connections),
                "neurons": neurons,
                "exits": exit_facts(program),
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
            *copy_rows(program),
            *exit_rows(program),
            *search_rows(program),
            ("compiled in", f"{seconds:.1f} s"),
        ]
    )
