"""Windows seen at once: where all populations wait for their whole charge, sums tell everything.

A windowed population emits clip(⌊v_T/θ⌋, n_min·T, φT) spikes in all (the integer contract),
whatever came at which step, so that passes which only count may carry one sum per neuron in place
of T currents and T payloads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from spikec.compiler.arrays import Array, Int32
from spikec.compiler.connections import Connection
from spikec.compiler.errors import BoundError
from spikec.compiler.frontier import population_nodes
from spikec.compiler.ir import Graph
from spikec.compiler.options import CompileOptions
from spikec.compiler.populations import AdaFire, Population
from spikec.compiler.program_structure import LARGEST_PAYLOAD
from spikec.compiler.simulation import Simulate

_LARGEST = 2**31 - 1


def sums_suffice(graph: Graph, options: CompileOptions) -> bool:
    """Whether a walk over a graph may carry sums over all steps.

    So it is where every population that fires is windowed and counts no further than a payload
    can; searches, which fire layers in other modes, and fitted weights read single steps.
    """
    neurons = [node.neuron for node in population_nodes(graph) if node.neuron is not None]
    firing = [neuron for neuron in neurons if neuron.kind == "adafire"]
    whole = all(neuron.windowed for neuron in firing)
    most = max((neuron.phi for neuron in firing), default=1) * options.timesteps
    steps_read = options.search.active or options.weight_calibration == "fit"
    return whole and most <= LARGEST_PAYLOAD and not steps_read


def at_once(population: AdaFire, timesteps: int) -> AdaFire:
    """The population that fires in one step what a windowed one fires in T, under summed current.

    Args:
        population: Windowed, φT at most 255.
        timesteps: T.
    """
    bias = population.bias.astype(np.int64) * timesteps
    return replace(
        population,
        bias=bias.clip(-_LARGEST, _LARGEST),  # beyond, the membrane is full in any case
        phi=population.phi * timesteps,
        windowed=False,
    )


def summed_current(
    simulate: Simulate,
    sink: Population,
    connections: Sequence[Connection],
    sums: Mapping[str, Array],
    timesteps: int,
) -> Int32:
    """Current of a population over all steps without its bias, (1, images, *sink shape).

    Args:
        simulate: Tells currents.
        sink: The population that receives.
        connections: All connections into it.
        sums: Σ_t n[t] of each source by name, (1, images, *shape).
        timesteps: T.
    """
    currents = partial(simulate.currents, sink, connections)
    read = {connection.source: sums[connection.source] for connection in connections}
    try:
        return currents(read)
    except BoundError:  # the current of one step fits 32 bits, the sum perhaps not
        return _step_by_step(currents, read, timesteps)


def _step_by_step(
    currents: Callable[[dict[str, Array]], Array], left: dict[str, Array], timesteps: int
) -> Int32:
    """The same in parts that are no larger than the payloads of a step."""
    total: Array = np.zeros(1, np.int64)
    for remaining in range(timesteps, 0, -1):
        sent = {name: values // remaining for name, values in left.items()}
        left = {name: values - sent[name] for name, values in left.items()}
        total = total + currents(sent)
    return total.clip(-_LARGEST, _LARGEST).astype(np.int32)
