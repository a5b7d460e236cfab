"""A graph, or a region of it, runs in onnxruntime under the names of its nodes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx_models import floats, model, node, single, small_cnn

from spikec.compiler.errors import InvariantError, ShapeError
from spikec.compiler.frontend.from_graph import from_graph
from spikec.compiler.frontend.read import read_model
from spikec.compiler.frontend.shapes import infer_shapes
from spikec.compiler.frontend.to_graph import to_graph
from spikec.compiler.ir import Graph


def graph_of(given: onnx.ModelProto) -> Graph:
    return to_graph(read_model(given))


def test_values_are_called_like_nodes() -> None:
    exported = from_graph(graph_of(small_cnn()), ["relu", "logits"])
    assert [value.name for value in exported.graph.input] == ["x"]
    assert [value.name for value in exported.graph.output] == ["relu", "logits"]
    assert [n.name for n in exported.graph.node] == [n.output[0] for n in exported.graph.node]


def test_the_batch_axis_is_open() -> None:
    exported = from_graph(graph_of(small_cnn()), ["logits"])
    dims = exported.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["N", 2, 8, 8]


def test_only_what_an_output_needs_is_exported() -> None:
    exported = from_graph(graph_of(small_cnn()), ["bn"])
    assert [n.name for n in exported.graph.node] == ["conv", "bn"]
    assert len(exported.graph.initializer) == 6


def test_a_region_starts_at_the_nodes_named() -> None:
    exported = from_graph(graph_of(small_cnn()), ["flat"], ["relu"])
    assert [value.name for value in exported.graph.input] == ["relu"]
    assert [n.name for n in exported.graph.node] == ["pool", "flat"]


def test_a_node_that_is_absent_is_refused() -> None:
    with pytest.raises(InvariantError) as caught:
        from_graph(graph_of(small_cnn()), ["absent"])
    assert caught.value.where.node == "absent"


def test_an_operand_that_is_left_out_stays_out() -> None:
    graph = graph_of(single("Clip", (3,), ("x", np.float32(0))))
    assert list(from_graph(graph, ["y"]).graph.node[0].input) == ["x", "y:1"]


def test_weights_never_take_the_name_of_a_node() -> None:
    nodes = [node("Relu", ("x",), "a:1"), node("Add", ("a:1", "c"), "a")]
    exported = from_graph(graph_of(model(nodes, (3,), {"c": floats(3)})), ["a"])
    assert [t.name for t in exported.graph.initializer] == ["a:1'"]


def test_shapes_are_those_of_one_sample() -> None:
    shapes = {n.name: n.shape for n in infer_shapes(graph_of(small_cnn()))}
    assert shapes["conv"] == shapes["relu"] == (4, 8, 8)
    assert (shapes["pool"], shapes["flat"], shapes["logits"]) == ((4, 4, 4), (64,), (5,))


def test_operands_that_disagree_are_named() -> None:
    graph = graph_of(small_cnn())
    wrong = graph.mapped(
        lambda n: n.updated(params={1: floats(5, 63)}) if n.name == "logits" else n
    )
    with pytest.raises(ShapeError) as caught:
        infer_shapes(wrong)
    assert (caught.value.where.node, caught.value.where.op) == ("logits", "Gemm")
