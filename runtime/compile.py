"""compile_model and check_model: the compiler with the simulator plugged in."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.arrays import Array, Int64
from spikec.compiler.calibrating import Progress
from spikec.compiler.calibration import drawn
from spikec.compiler.errors import (
    CalibrationError,
    CompileError,
    CompileWarning,
    InputError,
    OptionError,
    ShapeError,
    UnsupportedModelError,
    Where,
)
from spikec.compiler.frontend.load import Loaded, load_graph
from spikec.compiler.frontend.model_file import ModelLike
from spikec.compiler.ir import INPUT
from spikec.compiler.options import CompileOptions
from spikec.compiler.pipeline import compile_graph, convert
from spikec.compiler.pipelines import DEFAULT_PIPELINE, chosen_options
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program
from spikec.compiler.report import Compiled
from spikec.compiler.search.prices import NO_PRICES
from spikec.runtime.inputs import checked_labels
from spikec.runtime.preprocess import preprocess
from spikec.runtime.prices import prices_of

_BATCH = 64
"""Images that are preprocessed at once."""


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
    pipeline: str = DEFAULT_PIPELINE,
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
    input_shape: tuple[int, ...] | None = None,
    calibration_images: int | None = None,
    labels: Array | Sequence[int] | None = None,
    simplify: bool = True,
    progress: Progress = _silent,
    **options: object,
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
        pipeline: What is calibrated; see ``pipelines.PRESETS``.
        seed: Of the choice of calibration images; equal seeds give equal programs.
        preprocessing: How raw inputs become the model's inputs; stored in the program.
        input_shape: Of the model's input without batch axis, where the file leaves it open; by
            default that of the calibration inputs.
        calibration_images: How many of them to use at most.
        labels: Class of each calibration input, by which ``exit_loss`` tells lost images; else
            the ANN tells them.
        simplify: Whether onnxslim may simplify the model first.
        progress: Told of (stage, steps done, steps in all).
        **options: Every other choice of CompileOptions and SearchOptions by name; see
            ``pipelines.chosen_options`` for the names of the latter.

    Returns:
        The program. Its ``provenance`` says where it comes from.

    Warns:
        CompileWarning: What the user should know of it; ``provenance`` says the same.

    Raises:
        CompileError: With file, node and operator, what is wrong and the way out.
    """
    given = dict(options, timesteps=timesteps, phi=phi, fire=fire, windowed=windowed, seed=seed)
    if calibration_images is not None:
        given["calibration_images"] = calibration_images
    result = compiled(
        model,
        calibration,
        chosen_options(pipeline, given),
        preprocessing=preprocessing,
        input_shape=input_shape,
        simplify=simplify,
        labels=labels,
        progress=progress,
    )
    for warning in result.warnings:
        warnings.warn(warning, CompileWarning, stacklevel=2)
    return result.program


def compiled(
    model: ModelLike,
    calibration: Array | Iterable[Array],
    options: CompileOptions,
    *,
    preprocessing: Preprocessing | None = None,
    input_shape: tuple[int, ...] | None = None,
    simplify: bool = True,
    labels: Array | Sequence[int] | None = None,
    progress: Progress = _silent,
) -> Compiled:
    """The program of a model with the records of all passes and every warning."""
    name = _file_name(model)
    classes = None if labels is None else _labels_used(labels, calibration, options)
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
            labels=classes,
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


@dataclass(frozen=True, eq=False)
class _Preprocessed:
    """Batches of what the model reads for chosen images of an array.

    As float32 the whole of them may exceed the memory.
    """

    raw: Array
    chosen: Int64
    steps: Preprocessing

    def __iter__(self) -> Iterator[Array]:
        for at in range(0, len(self.chosen), _BATCH):
            yield preprocess(self.raw[self.chosen[at : at + _BATCH]], self.steps)

    def shape(self) -> tuple[int, ...] | None:
        """Of one of them."""
        return next((batch.shape[1:] for batch in self), None)


def _preprocessed(
    calibration: Array | Iterable[Array], preprocessing: Preprocessing, options: CompileOptions
) -> Iterable[Array]:
    """What the model reads for the calibration images that are used."""
    if isinstance(calibration, np.ndarray) and calibration.ndim:
        count = max(options.drawn_images, options.threshold_images)
        return _Preprocessed(
            calibration, drawn(len(calibration), count, options.seed), preprocessing
        )
    return (preprocess(batch, preprocessing) for batch in calibration)


def _labels_used(
    labels: Array | Sequence[int], calibration: Array | Iterable[Array], options: CompileOptions
) -> Int64:
    """Labels of the calibration images that are used, in the order in which they are used."""
    if options.exit_loss is None:
        problem = "labels of calibration images are given, and nothing asks for them"
        raise OptionError(problem, hint="leave them out, or give exit_loss")
    count = options.drawn_images
    if not isinstance(calibration, np.ndarray) or not calibration.ndim:
        return checked_labels(labels)[:count]
    checked = checked_labels(labels, len(calibration))
    return checked[drawn(len(calibration), count, options.seed)]


def _shape_of(calibration: Array | Iterable[Array]) -> tuple[int, ...] | None:
    """Shape of one calibration input, if it is known without reading an iterator."""
    if isinstance(calibration, _Preprocessed):
        return calibration.shape()
    first = calibration[0] if isinstance(calibration, list) and calibration else calibration
    return tuple(first.shape[1:]) if isinstance(first, np.ndarray) else None


def _file_name(model: object) -> str:
    return os.fspath(model) if isinstance(model, str | Path) else ""
