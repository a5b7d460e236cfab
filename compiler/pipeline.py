"""The compiler on one screen: model and calibration images in, Program out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float32
from spikec.compiler.calibration import Calibration, selected_images
from spikec.compiler.frontend.load import Loaded
from spikec.compiler.frontier import images_within_memory
from spikec.compiler.ir import Graph
from spikec.compiler.lower import lower
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass, run_passes
from spikec.compiler.passes.calibrate_bias import calibrate_bias
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.calibrate_weights import calibrate_weights
from spikec.compiler.passes.fold_affine import FOLD_AFFINE
from spikec.compiler.passes.move_activations import MOVE_ACTIVATIONS
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.passes.quantize_weights import quantize_weights
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.report import Compiled, fewer_images, provenance
from spikec.compiler.search.prices import NO_PRICES, Prices
from spikec.compiler.searching import Searching, searching, split
from spikec.compiler.simulation import Simulate

Progress = Callable[[str, int, int], None]
"""Told of (stage, steps done, steps in all)."""

_CHECKED_IMAGES = 4
"""Images on which exact passes are compared with the ANN."""


def conversion(options: CompileOptions) -> tuple[Pass, ...]:
    """Passes that need no image."""
    return (FOLD_AFFINE, MOVE_ACTIVATIONS, place_neurons(options))


def calibration_passes(
    calibration: Calibration,
    simulate: Simulate,
    options: CompileOptions,
    progress: Progress,
    searches: Searching,
) -> tuple[Pass, ...]:
    """Passes that choose numbers on calibration images."""

    def told(stage: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(stage, done, total)

    passes = [calibrate_thresholds(calibration, options)]
    if options.weight_calibration == "gradient":
        passes.append(calibrate_weights(calibration, options, told("calibrate-weights")))
    passes.append(quantize_weights(calibration, options))
    passes.extend(searches.firing(told("assign-firing")))
    if options.bias_rounds:
        passes.append(calibrate_bias(calibration, simulate, options, told("calibrate-bias")))
    return (*passes, *searches.compression(told("compress-spikes")))


def compile_graph(
    loaded: Loaded,
    calibration: Array | Iterable[Array],
    options: CompileOptions,
    simulate: Simulate,
    *,
    preprocessing: Preprocessing | None = None,
    prices: Prices = NO_PRICES,
    progress: Progress = lambda stage, done, total: None,
) -> Compiled:
    """The line: convert, calibrate, lower."""
    ann = Ann()
    source = loaded.graph.input
    images = selected_images(calibration, source, options.drawn_images, options.seed)
    images, held_out = split(images, options)
    outputs = _outputs_on(images[:_CHECKED_IMAGES], ann)
    graph, first = run_passes(
        loaded.graph, conversion(options), outputs, lambda stage: progress(stage, 0, 1)
    )
    chosen = Calibration(images, ann).first(images_within_memory(graph, options))
    searches = searching(graph, chosen, held_out, simulate, options=options, prices=prices)
    steps = calibration_passes(chosen, simulate, options, progress, searches)
    graph, second = run_passes(graph, steps, outputs, lambda stage: progress(stage, 0, 1))
    warnings = (*loaded.warnings, *fewer_images(images, chosen, options))
    origin = {**provenance(loaded, chosen, options, warnings), **searches.provenance()}
    program = lower(graph, options, preprocessing, origin)
    return Compiled(program, first + second, warnings, tuple(searches.found))


def convert(loaded: Loaded, options: CompileOptions) -> Graph:
    """The graph with its neurons placed, checked on one random input; needs no image."""
    random = np.random.default_rng(options.seed)
    shape = (1, *loaded.graph.input.known_shape())
    inputs = random.standard_normal(shape, dtype=np.float32)
    return run_passes(loaded.graph, conversion(options), _outputs_on(inputs, Ann()))[0]


def _outputs_on(inputs: Float32, ann: Ann) -> Callable[[Graph], Float32]:
    def outputs(graph: Graph) -> Float32:
        (batch,) = ann.activations(graph, [graph.output], [inputs])
        return batch[graph.output]

    return outputs
