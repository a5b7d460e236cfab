"""Float truth: activations, regions and the user's own model by onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx_models import floats, model, node, single, small_cnn

from spikec.compiler.ann import Ann, OnnxSession, run_model
from spikec.compiler.errors import InputError, ModelFileError
from spikec.compiler.frontend.read import read_model
from spikec.compiler.frontend.to_graph import to_graph
from spikec.compiler.ir import Graph


def graph_of(given: onnx.ModelProto) -> Graph:
    return to_graph(read_model(given))


def test_activations_stream_batch_by_batch() -> None:
    graph, inputs = graph_of(small_cnn()), floats(5, 2, 8, 8)
    batches = Ann(threads=1).activations(graph, ["relu", "bn"], [inputs[:3], inputs[3:]])
    first, second = next(batches), next(batches)
    assert list(first) == ["relu", "bn"]
    assert (len(first["bn"]), len(second["bn"])) == (3, 2)
    np.testing.assert_array_equal(first["relu"], np.maximum(first["bn"], 0))


def test_the_input_is_an_activation_too() -> None:
    inputs = floats(2, 2, 8, 8)
    (found,) = Ann().activations(graph_of(small_cnn()), ["x"], [inputs])
    np.testing.assert_array_equal(found["x"], inputs)


def test_a_region_needs_only_its_sources() -> None:
    graph, inputs = graph_of(small_cnn()), floats(3, 2, 8, 8)
    (found,) = Ann().activations(graph, ["relu", "logits"], [inputs])
    region = Ann().region(graph, ["relu"], ["logits", "relu"])
    again = region({"relu": found["relu"]})
    np.testing.assert_allclose(again["logits"], found["logits"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(again["relu"], found["relu"])


def test_a_region_may_have_several_sources() -> None:
    nodes = [
        node("Relu", ("x",), "a"),
        node("Clip", ("x", "low"), "b"),
        node("Sub", ("a", "b"), "y"),
    ]
    graph = graph_of(model(nodes, (3,), {"low": np.float32(0)}))
    left, right = floats(2, 3), floats(2, 3, seed=1)
    found = Ann().region(graph, ["a", "b"], ["y"])({"a": left, "b": right})
    np.testing.assert_array_equal(found["y"], left - right)


@pytest.mark.parametrize("batch", ["N", 1, 4, 16])
def test_a_model_with_any_batch_size_of_its_own_is_run(batch: int | str) -> None:
    inputs = floats(6, 3)
    found = run_model(single("Relu", (3,), batch=batch), inputs, batch_size=5)
    np.testing.assert_array_equal(found, np.maximum(inputs, 0))


def test_a_loaded_model_is_run_again() -> None:
    session = OnnxSession(single("Relu", (3,)), threads=1)
    assert (session.inputs, session.outputs, session.shape) == (("x",), ("y",), (None, 3))
    np.testing.assert_array_equal(run_model(session, floats(2, 3)), np.maximum(floats(2, 3), 0))


@pytest.mark.parametrize("shape", [(2, 4), (2,), (2, 3, 1), (0, 3)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        run_model(single("Relu", (3,)), np.zeros(shape, np.float32))


def test_a_model_that_onnxruntime_cannot_load_is_refused() -> None:
    with pytest.raises(ModelFileError):
        OnnxSession(b"no model")


def test_a_model_that_onnxruntime_cannot_run_is_refused() -> None:
    reshape = single("Reshape", (3,), ("x", np.array([5], np.int64)))
    with pytest.raises(ModelFileError):
        run_model(reshape, floats(2, 3))
