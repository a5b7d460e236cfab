"""Region: the part of the float network between the populations before one and that one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.ann import Region as AnnRegion
from spikec.compiler.arrays import Array, Float64
from spikec.compiler.frontier import sources_of
from spikec.compiler.ir import Graph
from spikec.compiler.paths import closes_region

_CHUNK_BYTES = 128 * 2**20
"""Bound on the float activations that one call of onnxruntime returns."""


class Region:
    """The float maps that lead to one population, run by onnxruntime.

    Attributes:
        sources: Names of the nodes whose populations feed this one, each once.
    """

    def __init__(self, graph: Graph, name: str, ann: Ann) -> None:
        node = graph[name]
        self._graph, self._ann, self._name = graph, ann, name
        self._kind = node.neuron.kind if node.neuron else ""
        self._drive = graph.sources(name)[0] if self._closed(graph) else name
        self._maps: dict[str, AnnRegion] = {}
        self.sources = sources_of(graph, node)

    def _closed(self, graph: Graph) -> bool:
        return self._kind not in ("input", "readout") and closes_region(graph[self._name])

    def bias(self) -> Float64:
        """The population's float current while its sources are silent.

        Returns:
            In units of the activation, broadcastable to the population's shape: one value per
            channel where the channel agrees, else one per neuron (borders of padded layers).
        """
        shape = self._graph[self._name].known_shape()
        silent = np.zeros([1] * len(shape))
        if self._kind in ("input", "max_pool") or self._drive in self.sources:
            return silent
        zeros = {
            source: np.zeros((1, *self._graph[source].known_shape()), np.float32)
            for source in self.sources
        }
        region = self._ann.region(self._graph, self.sources, [self._drive])
        current: Float64 = region(zeros)[self._drive][0].astype(np.float64)
        by_channel = current.reshape(shape[0], -1)
        uniform = np.all(by_channel == by_channel[:, :1])
        bias: Float64 = by_channel[:, 0].reshape(-1, *silent.shape[1:])
        return bias if uniform else current

    def activation(self, activations: Mapping[str, Array]) -> Array:
        """The ANN's activation at this population, from those of its sources, float32."""
        return self._run(activations, self._name)

    def drive(self, activations: Mapping[str, Array]) -> Array:
        """The ANN's current into this population, from the activations of its sources, float32."""
        return self._run(activations, self._drive)

    def _run(self, activations: Mapping[str, Array], name: str) -> Array:
        if name not in self._maps:
            self._maps[name] = self._ann.region(self._graph, self.sources, [name])
        region = self._maps[name]
        images = len(next(iter(activations.values())))
        floats = int(np.prod(self._graph[name].known_shape()))
        size = max(1, _CHUNK_BYTES // (4 * floats))
        parts = [
            region({source: values[at : at + size] for source, values in activations.items()})[name]
            for at in range(0, images, size)
        ]
        return np.concatenate(parts)
