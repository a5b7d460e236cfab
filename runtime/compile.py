"""compile_model and check_model: the compiler with the simulator plugged in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.arrays import Array
from spikec.compiler.calibration import drawn
from spikec.compiler.errors import (
    CalibrationError,
    CompileError,
    InputError,
    ShapeError,
    UnsupportedModelError,
    Where,
)
from spikec.compiler.frontend.load import Loaded, load_graph
from spikec.compiler.frontend.model_file import ModelLike
from spikec.compiler.ir import INPUT
from spikec.compiler.options import CompileOptions, firing_rule
from spikec.compiler.pipeline import Progress, compile_graph, convert
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.compiler.report import Compiled
from spikec.compiler.search.prices import NO_PRICES
from spikec.compiler.search_options import NO_SEARCH, SearchOptions
from spikec.runtime.preprocess import preprocess
from spikec.runtime.prices import prices_of


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def compile_model(
    model: ModelLike,
    calibration: Array | Iterable[Array],
    *,
    timesteps: int = 8,
    phi: int = 4,
    fire: str = "plain",
    windowed: bool = False,
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
    input_shape: tuple[int, ...] | None = None,
    calibration_images: int | None = None,
    simplify: bool = True,
    weight_calibration: str = "none",
    search: SearchOptions = NO_SEARCH,
    progress: Progress = _silent,
    **widths: int,
) -> Program:
    """Compile a trained network to an integer spiking program.

    Args:
        model: Path of an ONNX file, its bytes, or a loaded model.
        calibration: Inputs that look like those of later runs, (images, *input shape) in the
            model's input layout, float32; or batches of them. With ``preprocessing``: raw inputs.
        timesteps: T, 1…4096.
        phi: φ, the largest payload of a spike, 1…255; 1 is the integrate-and-fire neuron.
        fire: "plain", or "retract": spikes that came too early are taken back.
        windowed: Integrate T steps, then fire T steps.
        seed: Of the choice of calibration images; equal seeds give equal programs.
        preprocessing: How raw inputs become the model's inputs; stored in the program.
        input_shape: Of the model's input without batch axis, where the file leaves it open; by
            default that of the calibration inputs.
        calibration_images: How many of them to use at most.
        simplify: Whether onnxslim may simplify the model first.
        weight_calibration: "fit", "none", or "gradient" (minutes instead of seconds, with torch).
        search: What is chosen per layer, and within which budget; by default nothing.
        progress: Told of (stage, steps done, steps in all).
        **widths: ``weight_bits``, ``input_bits``, ``membrane_bits``, ``bias_rounds``,
            ``memory_bytes`` as in CompileOptions.

    Returns:
        The program. Its ``provenance`` says where it comes from.

    Raises:
        CompileError: With file, node and operator, what is wrong and the way out.
    """
    if calibration_images is not None:
        widths["calibration_images"] = calibration_images
    options = CompileOptions(
        timesteps=timesteps,
        phi=phi,
        fire=firing_rule(fire),
        windowed=windowed,
        seed=seed,
        weight_calibration=weight_calibration,
        search=search,
        **widths,
    )
    return compiled(
        model,
        calibration,
        options,
        preprocessing=preprocessing,
        input_shape=input_shape,
        simplify=simplify,
        progress=progress,
    ).program


def compiled(
    model: ModelLike,
    calibration: Array | Iterable[Array],
    options: CompileOptions,
    *,
    preprocessing: Preprocessing | None = None,
    input_shape: tuple[int, ...] | None = None,
    simplify: bool = True,
    progress: Progress = _silent,
) -> Compiled:
    """The program of a model with the records of all passes and every warning."""
    name = _file_name(model)
    try:
        if preprocessing is not None:
            calibration = _preprocessed(calibration, preprocessing, options)
        if input_shape is None:
            loaded = _loaded_for(model, _shape_of(calibration), simplify=simplify)
        else:
            loaded = load_graph(model, input_shape=input_shape, simplified=simplify)
        return compile_graph(
            loaded,
            calibration,
            options,
            SimulatorBackend(),
            preprocessing=preprocessing,
            prices=prices_of(options.search.profile) if options.search.active else NO_PRICES,
            progress=progress,
        )
    except (CalibrationError, InputError):  # of the calibration inputs, not of the model's file
        raise
    except CompileError as error:
        if name:
            error.in_file(name)
        raise


def _loaded_for(model: ModelLike, shape: tuple[int, ...] | None, *, simplify: bool) -> Loaded:
    """The model, read for calibration inputs of this shape; CalibrationError if they disagree."""
    try:
        return load_graph(model, input_shape=shape, simplified=simplify)
    except ShapeError as error:
        if shape is None or error.where.op != INPUT:
            raise
        raise CalibrationError(
            f"calibration inputs do not fit: {error.problem}",
            Where(error.where.node, INPUT),
            "check the array's name, and layout and size of the images",
        ) from error


def check_model(
    model: ModelLike,
    *,
    input_shape: tuple[int, ...] | None = None,
) -> tuple[CompileError, ...]:
    """Everything that keeps a model from being converted, node by node; empty if nothing does.

    Args:
        model: As for ``compile_model``.
        input_shape: As for ``compile_model``.
    """
    name = _file_name(model)
    try:
        convert(load_graph(model, input_shape=input_shape), CompileOptions())
    except UnsupportedModelError as error:
        return tuple(finding.in_file(name) if name else finding for finding in error.findings)
    except CompileError as error:
        return (error.in_file(name) if name else error,)
    return ()


def _preprocessed(
    calibration: Array | Iterable[Array], preprocessing: Preprocessing, options: CompileOptions
) -> Array | Iterable[Array]:
    """What the model reads for the calibration images that are used.

    Of an array only those are preprocessed: as float32 the whole of it may exceed the memory.
    """
    if isinstance(calibration, np.ndarray) and calibration.ndim:
        used = drawn(len(calibration), options.drawn_images, options.seed)
        return [preprocess(calibration[used], preprocessing)]
    return (preprocess(batch, preprocessing) for batch in calibration)


def _shape_of(calibration: Array | Iterable[Array]) -> tuple[int, ...] | None:
    """Shape of one calibration input, if it is known without reading an iterator."""
    first = calibration[0] if isinstance(calibration, list) and calibration else calibration
    return tuple(first.shape[1:]) if isinstance(first, np.ndarray) else None


def _file_name(model: object) -> str:
    return os.fspath(model) if isinstance(model, str | Path) else ""
