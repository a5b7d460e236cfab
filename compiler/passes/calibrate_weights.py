"""calibrate-weights: the whole network learns to give its old outputs in the spikes of a program.

One case: weights, biases and thresholds follow the gradients of ``gradient.distillation`` on the
calibration images, all layers at once; each population fires step by step as it will, from the
delays and corrections that it has, and each weight is what its integer will be. Where images that
are held back do not get better, nothing changes. What the graph computes in floats afterwards is
no longer the network: it is what the spikes make the network of. Deterministic for a seed on one
machine, with any number of threads; needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from spikec.compiler.arrays import Float64
from spikec.compiler.calibration import Calibration
from spikec.compiler.gradient.batches import Variation
from spikec.compiler.gradient.distillation import Lesson, distilled
from spikec.compiler.gradient.library import need_torch
from spikec.compiler.gradient.student import Student
from spikec.compiler.integers import with_integers
from spikec.compiler.invariants import integers_set, neurons_placed, thresholds_set
from spikec.compiler.ir import Graph, Node
from spikec.compiler.lower import currents_proved
from spikec.compiler.ops.linear import multiplications
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.populations import AdaFire, Readout, Shape
from spikec.compiler.regions import Region
from spikec.compiler.tail import read_out_node, tail_nodes

_BATCH = 32
_PART = 8
"""Images that one thread takes at once."""
_STEPS = (100, 500)
_MULTIPLICATIONS = 26 * 10**11
"""Bound on the multiplications of all images forwards; it says how many steps are taken, between
the fewest and the most: minutes on two cores."""
_COPIES = 5
"""Times that the activations of a step are held: for the way back."""
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
        shifts = _shifts(graph, calibration)
        student = Student(graph, options, shifts)
        learnt = distilled(student, calibration.every, _lesson(graph, options), progress)
        if learnt.after >= learnt.before:
            return graph
        taught = student.graph(learnt.parameters)

        def bias(node: Node) -> Float64:
            own = Region(taught, node.name, calibration.ann).bias()
            return own + shifts.get(node.name, 0.0)

        return with_integers(taught, bias, options)

    return Pass(
        "calibrate-weights",
        apply,
        requires=(neurons_placed, thresholds_set, integers_set),
        ensures=(neurons_placed, thresholds_set, integers_set, currents_proved(options)),
    )


def _shifts(graph: Graph, calibration: Calibration) -> dict[str, Float64]:
    """What calibration has added to the bias of each population, by node."""
    return {
        node.name: node.quantized.bias - Region(graph, node.name, calibration.ann).bias()
        for node in graph
        if node.quantized is not None and isinstance(node.quantized.population, AdaFire | Readout)
    }


def _lesson(graph: Graph, options: CompileOptions) -> Lesson:
    runs = 1 + _steps_fired(graph, options)
    floats = sum(math.prod(node.known_shape()) for node in graph)
    fitting = options.memory_bytes // (4 * _COPIES * runs * floats)
    part = max(1, min(_PART, fitting))
    steps = _MULTIPLICATIONS // max(1, _BATCH * multiplications(graph) * runs)
    images = _are_images(graph.input.known_shape())
    return Lesson(
        steps=max(_STEPS[0], min(_STEPS[1], steps)),
        batch=_BATCH,
        part=part,
        threads=max(1, fitting // part),
        scores=_has_scores(graph),
        variation=Variation(_SHIFT if images else 0, flip=images, mix=True),
        seed=options.seed,
    )


def _steps_fired(graph: Graph, options: CompileOptions) -> int:
    """Steps that differ: T where a population may fire before the last one, else 1."""
    neurons = [node.neuron for node in graph if node.neuron is not None]
    early = any(neuron.kind == "adafire" and not neuron.windowed for neuron in neurons)
    return options.timesteps if early else 1


def _are_images(shape: Shape) -> bool:
    return len(shape) == 3 and min(shape[1:]) >= _SMALLEST_IMAGE


def _has_scores(graph: Graph) -> bool:
    """Whether the output chooses between classes: it says so, or is one row of numbers."""
    choosing = any(node.op in ("Softmax", "LogSoftmax", "ArgMax") for node in tail_nodes(graph))
    shape = read_out_node(graph).known_shape()
    return choosing or (len(shape) == 1 and shape[0] > 1 and not tail_nodes(graph))
