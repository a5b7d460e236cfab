"""Small networks to search over, and what a search measures with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from graphs import Sketch

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.ann import Ann
from spikec.compiler.calibration import Calibration
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.calibrate_thresholds import calibrate_thresholds
from spikec.compiler.passes.place_neurons import place_neurons
from spikec.compiler.passes.quantize_weights import quantize_weights
from spikec.compiler.search.prices import Prices
from spikec.compiler.search.study import Study
from spikec.compiler.searching import searching

LAYERS = ("r", "ra", "rb")


def two_branches(weight: float) -> Graph:
    """Stem r, branches ra and rb behind it, and scores to which rb adds with a small weight."""
    sketch = Sketch(2, 6, 6).conv("stem", 4).add("r", "Relu")
    sketch.conv("a", 4).add("ra", "Relu").add("ma", "GlobalAveragePool", shape=(4, 1, 1))
    sketch.add("fa", "Flatten", shape=(4,)).gemm("ga", 5)
    sketch.conv("b", 4, "r").add("rb", "Relu").add("mb", "GlobalAveragePool", shape=(4, 1, 1))
    sketch.add("fb", "Flatten", shape=(4,)).gemm("gb", 5)
    sketch.add("scores", "Add", ["ga", "gb"])
    graph = sketch.graph()
    gb = graph["gb"]
    small = {slot: np.float32(weight) * value for slot, value in gb.params.items()}
    return graph.mapped(lambda node: gb.updated(params=small) if node.name == "gb" else node)


def quantized(graph: Graph, options: CompileOptions, images: int = 96) -> tuple[Graph, Study]:
    """A graph whose populations have their integers, and a study on half of the images."""
    shape = (images, *graph.input.known_shape())
    inputs = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    calibration = Calibration(inputs[: images // 2], Ann())
    placed = place_neurons(options).apply(graph)
    done = calibrate_thresholds(calibration, options).apply(placed)
    done = quantize_weights(calibration, options).apply(done)
    study = searching(
        placed,
        calibration,
        inputs[images // 2 :],
        SimulatorBackend(threads=1),
        options=replace(options, search=replace(options.search, images=images // 2)),
        prices=Prices(update=0.01),
    ).study
    assert study is not None
    return done, study
