"""The float32 network of an ONNX file as a flat PyTorch module, for converters that read one."""

from __future__ import annotations

import operator

import numpy as np
import torch
from torch import Tensor, fx, nn

from spikec.compiler.arrays import Array
from spikec.compiler.frontend.load import Loaded
from spikec.compiler.ir import INPUT, Graph, Node


class TwinError(Exception):
    """The twin does not compute what the ONNX file does."""


def torch_twin(loaded: Loaded) -> fx.GraphModule:
    """The network in evaluation mode, one child per layer with parameters, pool or ReLU.

    Batch normalisations are in the convolutions, as spikec's frontend leaves them: every converter
    starts from the same float weights.

    Raises:
        NotImplementedError: An operator that none of the measured networks has.
    """
    return _Twin(loaded.graph).module


def check_twin(twin: nn.Module, inputs: Tensor, logits: Array) -> None:
    """TwinError unless the twin gives these logits, up to rounding."""
    with torch.no_grad():
        found = twin(inputs).numpy()
    difference = float(np.abs(found - logits).max())
    if difference > 1e-4 * float(np.abs(logits).max()):
        raise TwinError(f"logits differ by {difference} of up to {np.abs(logits).max()}")


class _Twin:
    """An fx graph that grows."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.root, self.lines = graph, nn.Module(), fx.Graph()
        self.values: dict[str, fx.Node] = {}
        for number, node in enumerate(graph):
            sources = [self.values[name] for name in graph.sources(node.name)]
            self.values[node.name] = self._added(node, f"{node.op.lower()}{number}", sources)
        self.lines.output(self.values[graph.output])
        self.module = fx.GraphModule(self.root, self.lines).eval()

    def _added(self, node: Node, name: str, sources: list[fx.Node]) -> fx.Node:
        match node.op:
            case op if op == INPUT:
                return self.lines.placeholder("inputs")
            case "Add" if not node.params:
                return self.lines.call_function(operator.add, tuple(sources))
        self.root.add_module(name, _layer(node))
        return self.lines.call_module(name, tuple(sources))


def _layer(node: Node) -> nn.Module:
    match node.op:
        case "Relu":
            return nn.ReLU()
        case "Flatten":
            return nn.Flatten()
        case "Conv":
            return _conv(node)
        case "Gemm":
            return _linear(node)
        case "AveragePool":
            kernel, strides = _pair(node, "kernel_shape"), _pair(node, "strides")
            counted = bool(node.attrs["count_include_pad"])
            return nn.AvgPool2d(kernel, strides, _padding(node), count_include_pad=counted)
        case "Slice":
            return nn.AvgPool2d(1, _steps(node))
        case "Pad":
            return _more_channels(node)
    raise NotImplementedError(f"{node.op} is in none of the measured networks")


def _conv(node: Node) -> nn.Module:
    weights = node.params[1]
    groups = int(str(node.attrs["group"]))
    layer = nn.Conv2d(
        weights.shape[1] * groups,
        weights.shape[0],
        _pair(node, "kernel_shape"),
        _pair(node, "strides"),
        _padding(node),
        _pair(node, "dilations"),
        groups,
    )
    return _with_parameters(layer, weights, node.params.get(2))


def _linear(node: Node) -> nn.Module:
    weights = node.params[1] if node.attrs.get("transB") else node.params[1].T
    return _with_parameters(nn.Linear(*weights.shape[::-1]), weights, node.params.get(2))


def _with_parameters(
    layer: nn.Conv2d | nn.Linear, weights: Array, bias: Array | None
) -> nn.Conv2d | nn.Linear:
    bias = np.zeros(len(weights)) if bias is None else bias
    layer.weight.data = torch.from_numpy(weights.astype(np.float32))
    layer.bias.data = torch.from_numpy(bias.astype(np.float32))
    return layer


def _pair(node: Node, name: str) -> tuple[int, ...]:
    value = node.attrs[name]
    assert isinstance(value, tuple), name
    return tuple(int(length) for length in value)


def _padding(node: Node) -> tuple[int, ...]:
    pads = _pair(node, "pads")
    if pads[:2] != pads[2:]:
        raise NotImplementedError(f"{node.name} has the asymmetric pads {pads}")
    return pads[:2]


def _steps(node: Node) -> tuple[int, ...]:
    """Of a slice that takes every n-th row and column."""
    starts, axes, steps = (node.params[slot].tolist() for slot in (1, 3, 4))
    if any(starts) or axes != [2, 3]:
        raise NotImplementedError(f"{node.name} starts at {starts} of the axes {axes}")
    return tuple(steps)


def _more_channels(node: Node) -> nn.Conv2d:
    """Silent channels before and behind, as a 1×1 convolution: converters know those only."""
    pads = node.params[1].tolist()
    before, behind = pads[1], pads[5]
    if any(pads[:1] + pads[2:5] + pads[6:]) or node.params[2] != 0:
        raise NotImplementedError(f"{node.name} pads by {pads}")
    channels = node.known_shape()[0]
    passed = np.eye(channels)[:, before : channels - behind, None, None]
    layer = nn.Conv2d(passed.shape[1], channels, 1)
    layer.weight.data = torch.from_numpy(passed.astype(np.float32))
    layer.bias = None
    return layer
