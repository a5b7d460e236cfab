"""After which step a search judges programs: where images leave early, after that of their leaving.

What a layer adds to loss and energy after T steps says little of a program that most images leave
after a quarter of them: at T, levels are plenty and seem worth saving, and what is saved of them
makes images leave later.
"""

from __future__ import annotations

import math

import numpy as np

from spikec.compiler.exit_ladder import Evidence, ladder
from spikec.compiler.exit_rule import ExitScore
from spikec.compiler.ir import Graph
from spikec.compiler.search.bench import Bench


def leaving_step(graph: Graph, bench: Bench, loss: float) -> int:
    """The mean step after which images leave the program of a graph, rounded up, 1…T.

    Args:
        graph: Its populations have their integers, its outputs are scores of classes.
        bench: With the images.
        loss: Points of agreement with the ANN that leaving may cost on them.
    """
    potentials, scale = bench.readouts(graph)
    classes = bench.expected.reshape(len(bench.expected), -1).argmax(axis=1)
    evidence = Evidence.of(ExitScore.MARGIN, potentials, scale, classes)
    loosest = ladder(evidence, loss / 100)[-1]
    return math.ceil(float(np.mean(evidence.exits(loosest))))
