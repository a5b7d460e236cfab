"""Small float graphs by hand, with shapes; operators as the frontend leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikec.compiler.ir import INPUT, Graph, Node

OPSET = 18


class Sketch:
    """Collects nodes; the last one added is the output."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self._nodes = {"x": Node("x", INPUT, shape=shape)}
        self._operands: dict[str, dict[int, str]] = {"x": {}}
        self._last = "x"

    def add(
        self,
        name: str,
        op: str,
        sources: Sequence[str] | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        params: Mapping[int, Any] | None = None,
        **attrs: Any,
    ) -> Sketch:
        """A node; by default it reads the last one and keeps its shape."""
        sources = [self._last] if sources is None else sources
        constants = {slot: np.asarray(value) for slot, value in (params or {}).items()}
        slots = [slot for slot in range(len(sources) + len(constants)) if slot not in constants]
        self._nodes[name] = Node(
            name,
            op,
            attrs,
            constants,
            shape=self._nodes[sources[0]].shape if shape is None else shape,
        )
        self._operands[name] = dict(zip(slots, sources, strict=False))
        self._last = name
        return self

    def conv(
        self,
        name: str,
        channels: int,
        source: str | None = None,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
    ) -> Sketch:
        """A convolution with random weights and bias, padded to keep the size at stride 1."""
        source = source or self._last
        shape = self._nodes[source].shape
        assert shape is not None
        axes = len(shape) - 1
        size = (channels, shape[0] // groups, *[kernel] * axes)
        weights = self.random.normal(0, (2 / np.prod(size[1:])) ** 0.5, size)
        pad = kernel // 2
        out = [(length + 2 * pad - kernel) // stride + 1 for length in shape[1:]]
        return self.add(
            name,
            "Conv",
            [source],
            shape=(channels, *out),
            params={
                1: weights.astype(np.float32),
                2: self.random.normal(0, 0.1, channels).astype(np.float32),
            },
            kernel_shape=(kernel,) * axes,
            strides=(stride,) * axes,
            pads=(pad,) * 2 * axes,
            dilations=(1,) * axes,
            group=groups,
        )

    def gemm(self, name: str, outputs: int, source: str | None = None) -> Sketch:
        """A dense layer with random weights and bias."""
        source = source or self._last
        shape = self._nodes[source].shape
        assert shape is not None
        weights = self.random.normal(0, (2 / shape[0]) ** 0.5, (outputs, shape[0]))
        return self.add(
            name,
            "Gemm",
            [source],
            shape=(outputs,),
            params={
                1: weights.astype(np.float32),
                2: self.random.normal(0, 0.1, outputs).astype(np.float32),
            },
            transB=1,
        )

    def batch_norm(self, name: str, source: str | None = None) -> Sketch:
        """A batch normalisation with random statistics."""
        source = source or self._last
        shape = self._nodes[source].shape
        assert shape is not None
        draw = self.random.uniform
        params = [draw(0.5, 2, shape[0]), draw(-1, 1, shape[0]), draw(-1, 1, shape[0])]
        params.append(draw(0.5, 2, shape[0]))
        return self.add(
            name,
            "BatchNormalization",
            [source],
            params={slot: value.astype(np.float32) for slot, value in enumerate(params, 1)},
            epsilon=1e-5,
        )

    def graph(self, output: str | None = None) -> Graph:
        """The graph, with the named node's output or the last one's."""
        return Graph.build(self._nodes, self._operands, output or self._last, OPSET)


def silenced(graph: Graph, name: str, channels: Sequence[int]) -> Graph:
    """The graph in which some output channels of a layer are −1 everywhere."""
    weights, bias = (graph[name].params[slot].copy() for slot in (1, 2))
    weights[channels], bias[channels] = 0, -1
    quiet = graph[name].updated(params={1: weights, 2: bias})
    return graph.mapped(lambda node: quiet if node.name == name else node)
