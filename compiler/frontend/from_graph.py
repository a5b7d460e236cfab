"""Graph → ONNX model: the whole graph, or the region between some nodes and some outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spikec.compiler.errors import InvariantError, Where
from spikec.compiler.ir import INPUT, Graph, Node

IR_VERSION = 9
"""The ONNX file format of opset 20."""


def from_graph(
    graph: Graph,
    outputs: Sequence[str],
    inputs: Iterable[str] = (),
    *,
    batch: str | int = "N",
) -> onnx.ModelProto:
    """A model that computes some nodes of a graph; its values are called like the nodes.

    Args:
        graph: Shapes known where it is cut.
        outputs: Nodes whose values are the outputs, in this order; an input is left out.
        inputs: Nodes to start from instead of the graph's input; each becomes an input.
        batch: Length or symbol of the batch axis.
    """
    cut = set(inputs)
    region = _region(graph, outputs, cut)
    entries = [node for node in region if node.name in cut or node.op == INPUT]
    inner = [node for node in region if node.name not in cut and node.op != INPUT]
    taken = {node.name for node in graph}
    constants: list[TensorProto] = []
    nodes = [_exported(graph, node, constants, taken) for node in inner]
    made = {node.name for node in inner}
    exported = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info(n.name, TensorProto.FLOAT, (batch, *n.known_shape()))
            for n in entries
        ],
        # Without a type: inference knows it, and an ArgMax yields integers.
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(outputs) if name in made],
        constants,
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    return helper.make_model(exported, opset_imports=opsets, ir_version=IR_VERSION)


def _region(graph: Graph, outputs: Sequence[str], cut: set[str]) -> list[Node]:
    """The nodes that the outputs depend on, none beyond the cut, in the graph's order."""
    unknown = [name for name in (*outputs, *cut) if name not in graph]
    if unknown:
        raise InvariantError("is no node of the graph", Where(unknown[0]))
    wanted, left = set(outputs), list(outputs)
    while left:
        name = left.pop()
        for source in () if name in cut else graph.sources(name):
            if source not in wanted:
                wanted.add(source)
                left.append(source)
    return [node for node in graph if node.name in wanted]


def _exported(
    graph: Graph, node: Node, constants: list[TensorProto], taken: set[str]
) -> onnx.NodeProto:
    operands: dict[int, str] = dict(graph.operands(node.name))
    for slot, array in node.params.items():
        name = f"{node.name}:{slot}"
        while name in taken:
            name += "'"
        taken.add(name)
        constants.append(numpy_helper.from_array(np.asarray(array), name))
        operands[slot] = name
    inputs = [operands.get(slot, "") for slot in range(max(operands) + 1)]
    exported = helper.make_node(node.op, inputs, [node.name], name=node.name)
    exported.attribute.extend(helper.make_attribute(k, v) for k, v in node.attrs.items())
    return exported
