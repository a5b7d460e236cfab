"""What calibration images leave open, in words: too few, all alike, channels left silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikec.compiler.arrays import Array, Float32, Float64
from spikec.compiler.ir import Graph, Neuron, Node
from spikec.compiler.search_options import SearchOptions

_FEW = 16
"""Images from which a program is about as good as with hundreds. ResNet-20 at T=4 φ=4 lost 19.3 ±
14.2 points with one image, 5.7 ± 5.6 with 2, 1.7 ± 0.4 with 4, 1.1 ± 0.8 with 8, 0.1 ± 0.5 with 16
and 0.3 ± 1.0 with 32 (three draws, 500 test images)."""
_MOST = 0.5
"""Part of a layer's channels that may be silent without a word. Trained networks keep dead ones: up
to 4 of 16 in the layers of ResNets for CIFAR-10, 3 of 8 in MobileNet-v1 0.25."""
_NAMED = 3
"""Layers that a warning names."""
_WAY_OUT = "calibrate on inputs like those of later runs, and check scale, mean, std and layout"


def image_warnings(images: Float32) -> tuple[str, ...]:
    """What is wrong with the calibration images as such.

    Args:
        images: All that were drawn, (images, *input shape), one or more.
    """
    found = []
    count = len(images)
    if count < _FEW:
        few = "1 calibration image is" if count == 1 else f"{count} calibration images are"
        found.append(
            f"{few} few: thresholds and biases fit them and not others; "
            f"give {_FEW} at least, best some hundred"
        )
    if not images.any():
        found.append(f"the calibration inputs are 0 everywhere; {_WAY_OUT}")
    elif count > 1 and (images == images[:1]).all():
        found.append(f"all {count} calibration inputs are the same; {_WAY_OUT}")
    return tuple(found)


def judging_warnings(held_out: int, search: SearchOptions) -> tuple[str, ...]:
    """A warning if the images held out cannot tell the loss that a search may cause.

    Args:
        held_out: How many judge.
        search: With the loss that is allowed, in points.
    """
    allowed = search.accuracy_loss
    if not search.active or not allowed or allowed * held_out >= 100:
        return ()
    return (
        f"one of {held_out} held-out images is {100 / held_out:.3g} points, and a loss of "
        f"{allowed:g} is allowed: none of them may be lost; more calibration images tell finer",
    )


def silent_warnings(graph: Graph, peaks: Mapping[str, Float64]) -> tuple[str, ...]:
    """A warning if no calibration image activates most channels of a layer, or one of the input.

    Args:
        graph: With neurons placed.
        peaks: Largest |activation| of each channel over all calibration images, (C,), by node name.
    """
    counts = {name: _silent(graph[name], found <= 0) for name, found in peaks.items()}
    named = [
        f"{graph[name].where} ({count} of {len(peaks[name])})"
        for name, count in counts.items()
        if count
    ]
    return (_sentence(named),) if named else ()


def _silent(node: Node, silent: Array) -> int:
    """Channels that are silent, if a word about them is due; else 0."""
    neuron = node.neuron
    assert neuron is not None
    most = 0.0 if _is_image(node, neuron) else _MOST
    due = silent.mean() > most if neuron.per_channel else silent.all()
    return int(np.count_nonzero(silent)) if due else 0


def _is_image(node: Node, neuron: Neuron) -> bool:
    """Whether it is an input whose channels have positions: none of them is always a border."""
    return neuron.kind == "input" and len(node.known_shape()) > 1


def _sentence(named: Sequence[str]) -> str:
    more = len(named) - _NAMED
    layers = ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return (
        "no calibration input activates these channels, so that their thresholds are guesses: "
        f"{layers}; {_WAY_OUT}"
    )
