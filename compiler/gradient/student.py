"""The network in torch twice: as it was, and with the rates of its program in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spikec.compiler.arrays import Array, Float64
from spikec.compiler.fixed_point import largest
from spikec.compiler.gradient.operators import Operation, operation
from spikec.compiler.gradient.parameters import Parameters, constants_of
from spikec.compiler.gradient.rounding import GridRounding, encoded
from spikec.compiler.gradient.weight_grids import counter_readers, weight_grids
from spikec.compiler.ir import INPUT, Graph, Node
from spikec.compiler.ops.linear import WEIGHTED
from spikec.compiler.options import CompileOptions
from spikec.compiler.tail import read_out_node

if TYPE_CHECKING:
    from torch import Tensor


class Student:
    """A network whose parameters can follow gradients.

    Attributes:
        parameters: As they start: those of the graph.
        nodes: What the output depends on, in topological order.
        output: Name of the node in front of the host's operators.
        populations: Names of the nodes whose activations are compared, the output's among them.
    """

    def __init__(
        self, graph: Graph, options: CompileOptions, shifts: Mapping[str, Float64] | None = None
    ) -> None:
        """Build it.

        Args:
            graph: With neurons placed and thresholds set.
            options: T and widths.
            shifts: What calibration has added to the bias of each population, in units of the
                activation, broadcastable to it; None: nothing.

        Raises:
            UnsupportedOpError: An operator has no form in torch here; names the node.
        """
        self._graph, self._options = graph, options
        self.output = read_out_node(graph).name
        self.nodes = tuple(_before(graph, self.output))
        self._operations = {
            node.name: _operation(graph, node) for node in self.nodes if node.op != INPUT
        }
        self._roundings = tuple(map(GridRounding, weight_grids(graph, options)))
        self._counters = counter_readers(graph)
        self._shifts = shifts or {}
        self.parameters = _parameters(self.nodes)
        self.populations = tuple(
            node.name
            for node in self.nodes
            if node.neuron is not None and node.neuron.kind in ("adafire", "readout")
        )

    def exact(self, parameters: Parameters, images: Tensor) -> dict[str, Tensor]:
        """Activations of all populations without any rounding: the network itself."""
        weights = {name: value for (name, kind), value in parameters.items() if kind == "weight"}
        return self._run(weights, parameters, images)

    def weights(self, parameters: Parameters) -> dict[str, Tensor]:
        """All weights on the grids of the integers that are made of them."""
        weights = {name: value for (name, kind), value in parameters.items() if kind == "weight"}
        scales = self._scales(parameters)
        for rounding in self._roundings:
            weights |= rounding(weights, scales)
        return weights

    def graph(self, parameters: Parameters) -> Graph:
        """The graph with these weights, on their grids, biases and thresholds."""
        weights = self.weights(parameters)
        return self._graph.mapped(lambda node: _with(node, weights, parameters))

    @property
    def timesteps(self) -> int:
        """T."""
        return self._options.timesteps

    def operands(self, node: Node) -> dict[int, str]:
        """Sources of a node by slot."""
        return self._graph.operands(node.name)

    def operation(self, node: Node) -> Operation:
        """What a node computes."""
        return self._operations[node.name]

    def encoded(self, node: Node, image: Tensor) -> Tensor:
        """The input as its payloads carry it."""
        return encoded(image, self._input_scale(node), largest(self._options.input_bits))

    def shift(self, node: Node, axes: int) -> Tensor:
        """What calibration has added to a population's bias, broadcastable to one image."""
        import torch

        found = self._shifts.get(node.name, np.zeros([1] * axes))
        return torch.from_numpy(found.astype(np.float32))

    def thresholds(self, parameters: Parameters) -> dict[str, Tensor]:
        """θ by node, (C,) or (1,)."""
        return {
            name: value.exp() for (name, kind), value in parameters.items() if kind == "threshold"
        }

    def _scales(self, parameters: Parameters) -> dict[str, Tensor]:
        """Value of one payload of every population, without gradients."""
        import torch

        thresholds = self.thresholds(parameters)
        scales: dict[str, Tensor] = {}
        for node in self.nodes:
            if node.neuron is None:
                continue
            if node.neuron.kind == "input":
                scales[node.name] = self._input_scale(node)
            elif node.neuron.kind == "adafire":
                scales[node.name] = thresholds[node.name].detach()
            elif node.neuron.kind == "max_pool":
                source, readers = self._counters[node.name]
                scale, index = scales[source], torch.from_numpy(readers)
                scales[node.name] = scale[index] if len(scale) > 1 else scale
        return scales

    def _input_scale(self, node: Node) -> Tensor:
        import torch

        assert node.neuron is not None
        assert node.neuron.threshold is not None
        scale = node.neuron.threshold / largest(self._options.input_bits)
        return torch.from_numpy(scale.astype(np.float32))

    def _run(
        self, weights: Mapping[str, Tensor], parameters: Parameters, images: Tensor
    ) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        for node in self.nodes:
            values[node.name] = (
                images if node.op == INPUT else self._value(node, values, weights, parameters)
            )
        return {name: values[name] for name in self.populations}

    def _value(
        self,
        node: Node,
        values: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        parameters: Parameters,
    ) -> Tensor:
        operands = {s: values[n] for s, n in self._graph.operands(node.name).items()}
        return self._operations[node.name](operands | constants_of(node, weights, parameters))


def _before(graph: Graph, output: str) -> list[Node]:
    """The node and everything that it depends on, in topological order."""
    needed = {output}
    for node in reversed(tuple(graph)):
        if node.name in needed:
            needed.update(graph.sources(node.name))
    return [node for node in graph if node.name in needed]


def _operation(graph: Graph, node: Node) -> Operation:
    shapes = tuple(graph[source].known_shape() for source in graph.sources(node.name))
    return operation(node, shapes)


def _parameters(nodes: tuple[Node, ...]) -> Parameters:
    found: Parameters = {}
    for node in nodes:
        if node.op in WEIGHTED:
            found[node.name, "weight"] = _tensor(_outputs_first(node, node.params[1]))
            if 2 in node.params:
                found[node.name, "bias"] = _tensor(node.params[2])
        neuron = node.neuron
        if neuron is not None and neuron.kind == "adafire":
            assert neuron.threshold is not None
            found[node.name, "threshold"] = _tensor(np.log(neuron.threshold))
    return found


def _tensor(array: Array) -> Tensor:
    import torch

    return torch.from_numpy(np.array(array, np.float32))


def _outputs_first(node: Node, weights: Array) -> Array:
    """Those of a MatMul transposed, there and back."""
    return weights.T if node.op == "MatMul" else weights


def _with(node: Node, weights: Mapping[str, Tensor], parameters: Parameters) -> Node:
    params = dict(node.params)
    if node.name in weights:
        params[1] = _outputs_first(node, weights[node.name].detach().numpy().copy())
    if (node.name, "bias") in parameters:
        params[2] = parameters[node.name, "bias"].detach().numpy().copy()
    neuron = node.neuron
    if neuron is not None and (node.name, "threshold") in parameters:
        logarithm = parameters[node.name, "threshold"].detach().numpy().astype(np.float64)
        neuron = replace(neuron, threshold=np.exp(logarithm))
    return node.updated(params=params, neuron=neuron)
