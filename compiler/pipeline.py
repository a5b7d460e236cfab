"""The compiler on one screen: model and calibration images in, Program out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.calibrating import Means, Progress, calibration_passes
from spikec.compiler.calibration import Calibration, selected_images
from spikec.compiler.copy_assignment import Copied, copy_channels
from spikec.compiler.coverage import image_warnings, judging_warnings
from spikec.compiler.exit_calibration import ExitCalibration
from spikec.compiler.frontend.load import Loaded
from spikec.compiler.ir import Graph
from spikec.compiler.lower import lower
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass, run_passes
from spikec.compiler.passes.fold_affine import FOLD_AFFINE
from spikec.compiler.passes.move_activations import MOVE_ACTIVATIONS
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.pipelines import pass_names
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.report import Compiled, calibration_warnings, provenance
from spikec.compiler.search.prices import NO_PRICES, Prices
from spikec.compiler.searching import searching, split
from spikec.compiler.simulation import Simulate
from spikec.compiler.walk import images_within_memory

_CHECKED_IMAGES = 4
"""Images on which exact passes are compared with the ANN."""


def conversion(options: CompileOptions) -> tuple[Pass, ...]:
    """Passes that need no image."""
    return (FOLD_AFFINE, MOVE_ACTIVATIONS, place_neurons(options))


def compile_graph(
    loaded: Loaded,
    calibration: Array | Iterable[Array],
    options: CompileOptions,
    simulate: Simulate,
    *,
    preprocessing: Preprocessing | None = None,
    labels: Int64 | None = None,
    prices: Prices = NO_PRICES,
    progress: Progress = lambda stage, done, total: None,
) -> Compiled:
    """The line: convert, calibrate, lower."""
    ann = Ann()
    source = loaded.graph.input
    drawn, stream = selected_images(calibration, source, options)
    exits = ExitCalibration(loaded.graph, drawn, labels, options)
    images, held_out = split(drawn, options)
    outputs = _outputs_on(images[:_CHECKED_IMAGES], ann)
    graph, first = run_passes(
        loaded.graph, conversion(options), outputs, lambda stage: progress(stage, 0, 1)
    )
    copied = Copied(graph, {}, {})
    if options.reuse_silent or options.extra_neurons:
        told = partial(progress, "copy-channels")
        copied = copy_channels(graph, Calibration(images, ann), options, told)
        graph = copied.graph
    carried = images_within_memory(graph, options)
    chosen = Calibration(images, ann, stream, graph).carried(carried)
    searches = searching(graph, chosen, held_out, simulate, options=options, prices=prices)
    noticed: list[str] = []
    means = Means(chosen, simulate, options, searches, progress, noticed.append)
    steps = calibration_passes(pass_names(options), means)
    graph, second = run_passes(graph, steps, outputs, lambda stage: progress(stage, 0, 1))
    noticed += judging_warnings(len(held_out), options.search)
    noticed += calibration_warnings(chosen, graph, options)
    warnings = (*loaded.warnings, *image_warnings(images), *dict.fromkeys(noticed))
    found = {**searches.provenance(), **copied.provenance}
    origin = {**provenance(loaded, chosen, options, warnings), **found}
    program = lower(graph, options, preprocessing, origin)
    compiled = Compiled(program, first + second, warnings, tuple(searches.found))
    return exits.applied(compiled, simulate, ann, progress)


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
