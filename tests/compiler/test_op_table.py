"""Every row of the op table computes what onnxruntime computes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from float_graph import apply_branch, outputs_of
from model_files import file
from onnx_models import floats, single
from op_cases import cases

from spikec.compiler.ann import Ann, run_model
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.frontend.load import load_graph
from spikec.compiler.frontend.read import read_model
from spikec.compiler.frontend.shapes import infer_shapes
from spikec.compiler.frontend.to_graph import to_graph
from spikec.compiler.ir import Graph, Node
from spikec.compiler.ops import ADVICE, OPS, op_of, supported_table
from spikec.compiler.ops.base import Branch, Role, Synapses

CASES = tuple(cases())
NAMES = [f"{op}-{position}" for position, (op, _) in enumerate(CASES)]


def graph_of(model: onnx.ModelProto) -> Graph:
    return infer_shapes(to_graph(read_model(model)))


def own_outputs(model: onnx.ModelProto, inputs: np.ndarray) -> np.ndarray:
    return run_model(model, inputs, batch_size=1)


@pytest.mark.parametrize("model", [model for _, model in CASES], ids=NAMES)
def test_rows_compute_what_onnxruntime_computes(model: onnx.ModelProto) -> None:
    graph = graph_of(model)
    inputs = floats(2, *graph.input.known_shape(), seed=9)
    expected = own_outputs(model, inputs)
    np.testing.assert_allclose(outputs_of(graph, inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlperftiny_resnet8_cifar10", "resnet20_cifar10_dynamo20"])
def test_rows_alone_compute_a_whole_network(name: str) -> None:
    path = file(f"nets/{name}.onnx")
    inputs = floats(1, 3, 32, 32)
    expected = run_model(path, inputs)
    found = outputs_of(load_graph(path).graph, inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("model", [model for _, model in CASES], ids=NAMES)
def test_the_exported_graph_equals_the_model_for_any_batch(model: onnx.ModelProto) -> None:
    graph = graph_of(model)
    inputs = floats(2, *graph.input.known_shape(), seed=9)
    (found,) = Ann().activations(graph, [graph.output], [inputs])
    expected = own_outputs(model, inputs)
    np.testing.assert_allclose(found[graph.output], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [model for _, model in CASES], ids=NAMES)
def test_the_shapes_of_the_import_are_those_that_onnx_infers(model: onnx.ModelProto) -> None:
    graph = to_graph(read_model(model))
    inferred = infer_shapes(graph)
    assert [node.shape for node in graph] == [node.shape for node in inferred]


def test_every_row_has_a_case() -> None:
    assert {op for op, _ in CASES} == {op.name for op in OPS}


def test_every_row_can_be_exported_at_the_opset_of_graphs() -> None:
    graph = graph_of(single("Relu", (3,)))
    assert max(op.since for op in OPS) <= graph.opset


def test_every_row_reads_only_attributes_of_its_onnx_operator() -> None:
    for op in OPS:
        schema = onnx.defs.get_schema(op.name, 22, "")
        assert set(op.reads) <= set(schema.attributes), op.name


def test_every_row_has_what_its_role_asks_for() -> None:
    for op in OPS:
        assert (op.lower is not None) == (op.role in (Role.LINEAR, Role.INDEX_MAP)), op.name
        assert (op.neuron is not None) == (op.role is Role.NEURON), op.name
        assert (op.tail is not None) == (op.role is Role.TAIL), op.name


WEIGHTED = [
    (name, model)
    for name, (op, model) in zip(NAMES, CASES, strict=True)
    if op in ("Conv", "ConvTranspose", "Gemm", "MatMul")
]


@pytest.mark.parametrize("model", [m for _, m in WEIGHTED], ids=[n for n, _ in WEIGHTED])
def test_synapses_know_which_channels_they_join(model: onnx.ModelProto) -> None:
    """Scales of the channels before and after can be moved into the weights."""
    graph = graph_of(model)
    node = next(n for n in graph if n.op in ("Conv", "ConvTranspose", "Gemm"))
    lower = op_of(node).lower
    shape = graph[graph.sources(node.name)[0]].known_shape()
    assert lower is not None
    (branch,) = lower(node, 0, (shape,))
    (synapses,) = branch.factors
    assert isinstance(synapses, Synapses)
    before = np.exp(floats(shape[0], seed=3)).astype(np.float64)
    after = np.exp(floats(node.known_shape()[0], seed=4)).astype(np.float64)
    weights = synapses.weights * after[synapses.outputs] / before[synapses.inputs]
    scaled = Synapses(weights, synapses.inputs, synapses.outputs, synapses.quantized)
    x = floats(*shape, seed=5).astype(np.float64)
    per_channel = (-1,) + (1,) * (len(shape) - 1)
    moved = apply_branch(Branch(factors=(scaled,)), x * before.reshape(per_channel))
    plain = apply_branch(branch, x)
    after = after.reshape((-1,) + (1,) * (plain.ndim - 1))
    np.testing.assert_allclose(moved, plain * after, rtol=1e-9, atol=1e-12)


def test_an_operator_without_a_row_is_refused_with_advice() -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        op_of(Node("cell", "LSTM"))
    assert (caught.value.where.node, caught.value.where.op) == ("cell", "LSTM")
    assert caught.value.hint == ADVICE["LSTM"]


def test_advice_is_given_only_for_operators_without_a_row() -> None:
    assert not {op.name for op in OPS} & set(ADVICE)


def test_the_table_for_readers_lists_every_row_once() -> None:
    lines = supported_table().splitlines()[2:]
    assert sorted(line.split("|")[1].strip() for line in lines) == sorted(op.name for op in OPS)
