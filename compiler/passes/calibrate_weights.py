"""calibrate-weights: the whole network learns to give its old outputs in the rates of a program.

One case: weights, biases and thresholds follow the gradients of ``gradient.distillation`` on the
calibration images, all layers at once, each population replaced by its transfer function and each
weight by what its integer will be. Where images that are held back do not get better, nothing
changes. What the graph computes in floats afterwards is no longer the network: it is what the
populations' rates make the network of. Deterministic for a seed on one machine with one number of
threads; needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from spikec.compiler.calibration import Calibration
from spikec.compiler.gradient.distillation import Lesson, distilled
from spikec.compiler.gradient.library import need_torch
from spikec.compiler.gradient.operators import WEIGHTED
from spikec.compiler.gradient.student import Student
from spikec.compiler.invariants import neurons_placed, thresholds_set
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.populations import Shape
from spikec.compiler.tail import read_out_node, tail_nodes

_BATCH = 32
_STEPS = (100, 400)
_MULTIPLICATIONS = 10**12
"""Bound on the multiplications of all images forwards; it says how many steps are taken, between
the fewest and the most: minutes on one core."""
_COPIES = 8
"""Times that the activations of a batch are held: of teacher and student, forwards and back."""
_SHIFT = 3
"""Pixels by which images are moved at most."""
_SMALLEST_IMAGE = 16
"""Pixels along both axes from which inputs are taken for images."""


def calibrate_weights(
    calibration: Calibration,
    options: CompileOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pass:
    """The pass for given images.

    Args:
        calibration: The images to learn on.
        options: T, widths, seed and memory.
        progress: Told of steps done and in all.

    Raises:
        OptionError: Torch is not installed.
    """
    need_torch()

    def apply(graph: Graph) -> Graph:
        student = Student(graph, options)
        learnt = distilled(student, calibration.images, _lesson(graph, options), progress)
        return student.graph(learnt.parameters) if learnt.after < learnt.before else graph

    return Pass(
        "calibrate-weights",
        apply,
        requires=(neurons_placed, thresholds_set),
        ensures=(neurons_placed, thresholds_set),
    )


def _lesson(graph: Graph, options: CompileOptions) -> Lesson:
    floats = sum(math.prod(node.known_shape()) for node in graph)
    batch = max(1, min(_BATCH, options.memory_bytes // (4 * _COPIES * floats)))
    steps = _MULTIPLICATIONS // max(1, batch * _multiplications(graph))
    images = _are_images(graph.input.known_shape())
    return Lesson(
        steps=max(_STEPS[0], min(_STEPS[1], steps)),
        batch=batch,
        scores=_has_scores(graph),
        shift=_SHIFT if images else 0,
        flip=images,
        seed=options.seed,
    )


def _multiplications(graph: Graph) -> int:
    """Of one image forwards, about."""
    return sum(
        math.prod(node.known_shape()[1:]) * int(np.size(node.params[1]))
        for node in graph
        if node.op in WEIGHTED
    )


def _are_images(shape: Shape) -> bool:
    return len(shape) == 3 and min(shape[1:]) >= _SMALLEST_IMAGE


def _has_scores(graph: Graph) -> bool:
    """Whether the output chooses between classes: it says so, or is one row of numbers."""
    choosing = any(node.op in ("Softmax", "LogSoftmax", "ArgMax") for node in tail_nodes(graph))
    shape = read_out_node(graph).known_shape()
    return choosing or (len(shape) == 1 and shape[0] > 1 and not tail_nodes(graph))
