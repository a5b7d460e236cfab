"""Multiply-accumulates of a network before any of its channels is copied."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np

from spikec.compiler.connections import Connection
from spikec.compiler.fan_outs import fan_out
from spikec.compiler.frontier import population_nodes
from spikec.compiler.ir import Graph
from spikec.compiler.macs import NETWORK_MACS
from spikec.compiler.ops.base import Synapses
from spikec.compiler.paths import Path, current_paths


def macs_told(graph: Graph) -> dict[str, str]:
    """For the provenance of a program with copies; see ``macs.network_macs``.

    Args:
        graph: With neurons placed, without copies.
    """
    found: dict[str, Counter[str]] = {}
    for node in population_nodes(graph):
        if node.neuron is None or node.neuron.kind == "input":
            continue
        into = found.setdefault(node.name, Counter())
        for path in current_paths(graph, node.name):
            into[path.source] += _path_macs(path, node.name)
    return {NETWORK_MACS: json.dumps(found)}


def _path_macs(path: Path, sink: str) -> int:
    """Of the weighted step, as ``macs.connection_macs`` counts its factor."""
    shape, total = path.shape, 0
    for step in path.steps:
        if isinstance(step.apply, Synapses):
            factor = step.apply.quantized(np.zeros(step.apply.weights.shape, np.int8))
            total += int(fan_out(Connection(path.source, sink, (factor,)), shape).sum())
        shape = step.shape
    return total
