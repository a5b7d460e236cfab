"""Shapes of all nodes, from ONNX's own inference on the exported graph."""

from __future__ import annotations

import re

from onnx import shape_inference

from spikec.compiler.errors import InvariantError, ShapeError, Where
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.frontend.trace import shape_of
from spikec.compiler.ir import INPUT, Graph, Node
from spikec.compiler.populations import Shape


def infer_shapes(graph: Graph) -> Graph:
    """The graph with the shape of every node, without batch axis.

    Raises:
        ShapeError: The shapes of a node's operands disagree.
        InvariantError: A shape stays unknown.
    """
    names = [node.name for node in graph if node.op != INPUT]
    model = from_graph(graph, names, batch=1)
    try:
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError as error:
        raise _shape_error(graph, str(error)) from error
    shapes = {value.name: shape_of(value.type) for value in inferred.graph.output}

    def known(node: Node) -> Node:
        return node if node.op == INPUT else node.updated(shape=_sample(node, shapes[node.name]))

    return graph.mapped(known)


def _sample(node: Node, shape: Shape | None) -> Shape:
    if shape is None or shape[:1] != (1,):
        raise InvariantError(f"its shape is {shape}, not one sample's", node.where)
    return shape[1:]


def _shape_error(graph: Graph, text: str) -> ShapeError:
    found = re.search(r"node name: (.*?)\): (.*)", text, re.DOTALL)
    if found is None or found[1] not in graph:
        return ShapeError(f"shapes disagree: {text.strip()}", Where())
    problem = found[2].replace("[ShapeInferenceError]", "").strip().splitlines()[0]
    return ShapeError(f"its operands do not fit: {problem}", graph[found[1]].where)
