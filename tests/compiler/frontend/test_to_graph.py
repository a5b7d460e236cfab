"""Files become canonical graphs; what cannot is found node by node, all at once."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx_models import floats, model, node, single, small_cnn

from spikec.compiler.errors import (
    CompileError,
    ModelFileError,
    ShapeError,
    UnsupportedModelError,
    UnsupportedOpError,
)
from spikec.compiler.frontend.read import read_model
from spikec.compiler.frontend.to_graph import to_graph
from spikec.compiler.ir import INPUT, Graph

INT = np.int64


def graph_of(given: onnx.ModelProto) -> Graph:
    return to_graph(read_model(given))


def findings(given: onnx.ModelProto) -> tuple[CompileError, ...]:
    with pytest.raises(UnsupportedModelError) as caught:
        graph_of(given)
    return caught.value.findings


def test_nodes_keep_the_names_of_the_file() -> None:
    graph = graph_of(small_cnn())
    assert [n.name for n in graph] == ["x", "conv", "bn", "relu", "pool", "flat", "logits"]
    assert graph.input.op == INPUT
    assert graph.output == "logits"


def test_weights_are_operands_and_windows_are_explicit() -> None:
    graph = graph_of(single("Conv", (2, 5, 5), ("x", floats(3, 2, 3, 3)), auto_pad="SAME_LOWER"))
    conv = graph["y"]
    assert conv.attrs == {
        "kernel_shape": (3, 3),
        "strides": (1, 1),
        "pads": (1, 1, 1, 1),
        "dilations": (1, 1),
        "group": 1,
    }
    np.testing.assert_array_equal(conv.params[1], floats(3, 2, 3, 3))


def test_a_gemm_has_its_scale_inside_and_weights_output_by_input() -> None:
    w, b = floats(5, 3), floats(1)
    gemm = graph_of(single("Gemm", (5,), ("x", w, b), alpha=0.5, beta=2.0))["y"]
    np.testing.assert_array_equal(gemm.params[1], np.float32(0.5) * w.T)
    np.testing.assert_array_equal(gemm.params[2], np.repeat(2 * b, 3))


def test_a_product_over_sequences_is_a_pointwise_convolution() -> None:
    graph = graph_of(single("MatMul", (4, 5), ("x", floats(5, 3))))
    assert [n.op for n in graph] == [INPUT, "Transpose", "Conv", "Transpose"]


def test_a_sum_is_a_chain_of_additions() -> None:
    nodes = [node("Relu", ("x",), "a"), node("Sum", ("a", "x", "a"), "y")]
    graph = graph_of(model(nodes, (3,)))
    assert [n.op for n in graph] == [INPUT, "Relu", "Add", "Add"]


def test_zeros_joined_to_an_activation_are_padding() -> None:
    nodes = [node("Concat", ("c", "x", "c"), "y", axis=1)]
    graph = graph_of(model(nodes, (3, 4), {"c": np.zeros((1, 2, 4), np.float32)}, batch=1))
    pad = graph[graph.sources("y")[0]]
    assert (pad.op, pad.shape) == ("Pad", (7, 4))
    np.testing.assert_array_equal(pad.params[1], [0, 2, 0, 0, 2, 0])


def test_shape_arithmetic_is_evaluated() -> None:
    nodes = [
        node("Shape", ("x",), "shape"),
        node("Gather", ("shape", "zero"), "batch"),
        node("Unsqueeze", ("batch",), "row", axes=[0]),
        node("Concat", ("row", "rest"), "target", axis=0),
        node("Reshape", ("x", "target"), "y"),
    ]
    constants = {"zero": np.asarray(0, INT), "rest": np.array([-1], INT)}
    graph = graph_of(model(nodes, (3, 4), constants, opset=11))
    assert [n.op for n in graph] == [INPUT, "Reshape"]
    assert graph["y"].shape == (12,)


def test_a_constant_node_is_an_operand() -> None:
    value = onnx.numpy_helper.from_array(np.array([0, -1], INT))
    nodes = [node("Constant", (), "c", value=value), node("Reshape", ("x", "c"), "y")]
    assert len(graph_of(model(nodes, (3, 4)))) == 2


def test_nodes_that_the_output_does_not_need_are_gone() -> None:
    nodes = [node("Gelu", ("x",), "g"), node("Relu", ("x",), "y")]
    assert [n.name for n in graph_of(model(nodes, (3,), opset=20))] == ["x", "y"]


def test_an_output_that_is_constant_is_refused() -> None:
    with pytest.raises(ModelFileError) as caught:
        graph_of(single("Relu", (3,), (floats(1, 3),)))
    assert caught.value.where.node == "y"


def test_every_node_that_cannot_be_converted_is_found() -> None:
    nodes = [
        node("Gelu", ("x",), "gelu"),
        node("Mul", ("gelu", "x"), "gate"),
        node("Relu", ("gate",), "relu"),
        node("ReduceMean", ("relu", "axes"), "mean"),
        node("Clip", ("mean", "low"), "clip"),
    ]
    constants = {"low": np.float32(-1), "axes": np.array([1], INT)}
    found = findings(model(nodes, (3, 4, 4), constants, opset=20))
    assert [(f.where.node, f.where.op) for f in found] == [
        ("gelu", "Gelu"),
        ("gate", "Mul"),
        ("mean", "ReduceMean"),
        ("clip", "Clip"),
    ]


def test_operators_of_other_domains_are_found_with_the_rest() -> None:
    given = small_cnn()
    given.graph.node[2].domain = "com.example"
    given.graph.node[3].op_type = "LpPool"
    found = findings(given)
    assert [f.where.node for f in found] == ["relu", "pool"]
    assert all(isinstance(f, UnsupportedOpError) for f in found)


def test_a_batch_size_inside_the_graph_names_the_node() -> None:
    target = np.array([8, 12], INT)
    (found,) = findings(single("Reshape", (3, 4), ("x", target), batch=8))
    assert isinstance(found, ShapeError)
    assert found.where.node == "y"


def test_operands_that_do_not_fit_name_the_node() -> None:
    (found,) = findings(single("Gemm", (4,), ("x", floats(5, 3))))
    assert isinstance(found, ShapeError)
    assert (found.where.node, found.where.op) == ("y", "Gemm")


def test_a_second_output_that_is_used_is_refused() -> None:
    dropped = onnx.helper.make_node("Dropout", ["x"], ["d", "mask"], name="drop")
    cast = node("Cast", ("mask",), "cast", to=1)
    found = findings(model([dropped, cast, node("Add", ("d", "cast"), "y")], (3,)))
    assert found[0].where.node == "drop"


REFUSED = {
    "Mul": single("Mul", (3,), ("x", "x")),
    "Div": single("Div", (3,), (floats(3), "x")),
    "Div by zero": single("Div", (3,), ("x", np.zeros(3, np.float32))),
    "Clip": single("Clip", (3,), ("x", np.float32(-1), np.float32(1))),
    "Clip without limits": single("Clip", (3,)),
    "Clip to nothing": single("Clip", (3,), ("x", np.float32(0), np.float32(0))),
    "Conv 3-D": single("Conv", (2, 4, 4, 4), ("x", floats(2, 2, 3, 3, 3))),
    "Conv by an activation": model(
        [node("Relu", ("x",), "w"), node("Conv", ("x", "w"), "y")], (2, 3, 3)
    ),
    "MatMul of activations": single("MatMul", (3, 3), ("x", "x")),
    "MatMul by a stack": single("MatMul", (2, 4, 5), ("x", floats(2, 5, 3))),
    "Gemm moves the batch": single("Gemm", (1,), ("x", floats(1, 3)), transA=1),
    "ReduceMean over channels": single("ReduceMean", (3, 4), axes=[1]),
    "ReduceMean over the batch": single("ReduceMean", (3, 4)),
    "Transpose": single("Transpose", (3, 4), perm=[1, 0, 2]),
    "Transpose reversed": single("Transpose", (3, 4)),
    "Flatten": single("Flatten", (3, 4), axis=2),
    "Squeeze": single("Squeeze", (1, 4)),
    "Squeeze the batch": single("Squeeze", (1, 4), ("x", np.array([0], INT))),
    "Unsqueeze the batch": single("Unsqueeze", (4,), ("x", np.array([0], INT))),
    "Slice the batch": single("Slice", (4,), ("x", *(np.array([v], INT) for v in (0, 0, 0)))),
    "Gather the batch": single("Gather", (4,), ("x", np.array([0], INT))),
    "Gather one place": single("Gather", (4, 3), ("x", np.array(1, INT)), axis=1),
    "Gather what the input says": single("Gather", (4,), (floats(1, 4), "x"), axis=1),
    "Pad with ones": single("Pad", (4,), ("x", np.array([0, 1, 0, 1], INT), np.float32(1))),
    "Pad by reflection": single("Pad", (4,), ("x", np.array([0, 1, 0, 1], INT)), mode="reflect"),
    "Pad the batch": single("Pad", (4,), ("x", np.array([1, 0, 0, 0], INT))),
    "Concat of samples": single("Concat", (4,), ("x", "x"), axis=0),
    "Softmax over samples": single("Softmax", (4,), axis=0),
    "ArgMax of the last": single("ArgMax", (4,), axis=1, select_last_index=1),
    "Add of a batch": single("Add", (4,), ("x", floats(2, 4))),
    "Add that widens": single("Add", (1, 4), ("x", floats(3, 4))),
    "BatchNormalization in training": single(
        "BatchNormalization", (3,), ("x", *(floats(3) ** 2 for _ in range(4))), training_mode=1
    ),
    "Dropout in training": single("Dropout", (3,), ("x", np.float32(0.5), np.bool_(True))),
    "Cast": single("Cast", (3,), to=7),
    "Pool 3-D": single("MaxPool", (2, 4, 4, 4), kernel_shape=[2, 2, 2]),
    "Sigmoid's like": single("Tanh", (3,)),
}


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_uses_that_have_no_spiking_form_are_refused_by_node(given: onnx.ModelProto) -> None:
    found = findings(given)
    assert found[0].where.node == given.graph.node[-1].name
    assert found[0].where.op == given.graph.node[-1].op_type
    assert isinstance(found[0], UnsupportedOpError | ShapeError)
