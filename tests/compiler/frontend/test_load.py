"""Every real file becomes a graph equal to it, with and without simplification, or is refused."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from model_files import file, files
from onnx_models import floats, model, node, single, small_cnn

from spikec.compiler.ann import Ann, run_model
from spikec.compiler.errors import CompileError, UnsupportedModelError
from spikec.compiler.frontend.load import Loaded, load_graph
from spikec.compiler.frontend.simplify import largest_difference

# File → how many nodes are found to be inconvertible (None: refused as a whole), and where.
REFUSED_ZOO: dict[str, tuple[int | None, str, str | None]] = {
    "attention_torch28_opset23": (None, "node_Reshape_19", "Reshape"),
    "carvana_unet_simp_small": (12, "Gather_6", "Gather"),
    "cctsdb_yolo_patch1": (None, "0", "Input"),
    "espcn_nnresize_quant": (10, "Quant_4", "Quant"),
    "face_slim320": (None, "Concat_190", "Concat"),
    "gridsample_11": (None, "/Split", "Split"),
    "instance_norm": (1, "/block.0/norm1/InstanceNormalization", "InstanceNormalization"),
    "lightgbm_classifier": (None, "Softmax_108", "Softmax"),
    "lstm_1layer": (None, "LSTM_0", "LSTM"),
    "ort_upsample": (None, "up_sampling2d_input:0", "Input"),
    "own_attention_block_op17": (5, "/n/LayerNormalization", "LayerNormalization"),
    "own_conv3d_op13": (1, "/0/Conv", "Conv"),
    "own_gelu_silu_op20": (2, "node_gelu", "Gelu"),
    "own_lstm_op14": (5, "/l/Transpose", "Transpose"),
    "pytorch_super_resolution": (1, "DepthToSpace_7", "DepthToSpace"),
    "qdq_int8_resnet8_cifar10": (62, "b_11_DequantizeLinear", "DequantizeLinear"),
    "qonnx_qkeras_jettagging": (11, "Quant_0", "Quant"),
    "qonnx_tfc_2w2a_mnist": (8, "Quant_13", "Quant"),
    "qonnx_unsw_mlp": (8, "/pretrained/pretrained.0/weight_quant/export_handler/Quant", "Quant"),
    "qop_uint8_resnet8_cifar10": (16, "input_QuantizeLinear", "QuantizeLinear"),
    "silero_vad_16k_op15": (None, "/model/decoder/Shape_1", "Shape"),
    "skl_digits_mlp": (None, "ZipMap", "ZipMap"),
    "skl_digits_svc": (None, "ZipMap", "ZipMap"),
    "superres_with_pre_post_op18": (None, "image", "Input"),
    "tree_ensemble_classifier": (None, "TreeEnsembleClassifier", "TreeEnsembleClassifier"),
    "ultraface_rfb320_detector": (None, "Concat_125", "Concat"),
    "vnn_test_small": (None, "X_0", "Input"),
    "yunet_s_320": (None, "Reshape_167", "Reshape"),
}
LARGE = {"onnx_light_densenet121", "onnx_light_resnet50"}


def loadable() -> list[pytest.ParameterSet]:
    found = [path for path in files("onnx_zoo") if path.stem not in REFUSED_ZOO]
    return [
        pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in LARGE else ())
        for path in (*files("nets"), *found)
    ]


def outputs(loaded: Loaded, inputs: np.ndarray) -> np.ndarray:
    (found,) = Ann().activations(loaded.graph, [loaded.graph.output], [inputs])
    return found[loaded.graph.output]


@pytest.mark.parametrize("simplified", [True, False], ids=["simplified", "as it is"])
@pytest.mark.parametrize("path", loadable())
def test_the_import_of_a_real_file_is_exact(path: Path, simplified: bool) -> None:
    loaded = load_graph(path, simplified=simplified)
    inputs = floats(2, *loaded.graph.input.known_shape(), seed=1)
    expected = run_model(path, inputs, batch_size=1)
    assert largest_difference(expected, outputs(loaded, inputs)) <= 1e-4
    assert loaded.warnings == ()


@pytest.mark.parametrize("name", REFUSED_ZOO)
def test_a_real_file_that_cannot_be_converted_names_node_and_operator(name: str) -> None:
    count, where, op = REFUSED_ZOO[name]
    path = file(f"onnx_zoo/{name}.onnx")
    with pytest.raises(CompileError) as caught:
        load_graph(path)
    error = caught.value
    assert (error.where.node, error.where.op, error.where.file) == (where, op, str(path))
    assert (len(error.findings) if isinstance(error, UnsupportedModelError) else None) == count


def test_a_file_with_an_operator_of_an_undeclared_domain_names_it() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        load_graph(file("onnx_malformed/unknown_domain.onnx"))
    assert [f.where.node for f in caught.value.findings] == ["Relu_1"]


def test_a_file_with_nodes_in_the_wrong_order_is_loaded() -> None:
    loaded = load_graph(file("onnx_malformed/unsorted_nodes.onnx"))
    inputs = floats(2, 3, 32, 32)
    expected = run_model(file("nets/mlperftiny_resnet8_cifar10.onnx"), inputs)
    assert largest_difference(expected, outputs(loaded, inputs)) <= 1e-4
    assert largest_difference(expected, run_model(loaded.original, inputs)) == 0


def test_simplification_folds_batch_normalisation() -> None:
    assert "bn" in load_graph(small_cnn(), simplified=False).graph
    assert all(n.op != "BatchNormalization" for n in load_graph(small_cnn()).graph)


def test_the_type_of_the_output_may_be_left_to_inference() -> None:
    given = small_cnn()
    given.graph.output[0].ClearField("type")
    assert load_graph(given).graph["logits"].shape == (5,)


def _raises(_model: onnx.ModelProto) -> onnx.ModelProto:
    raise RecursionError("too deep")


def _changes_weights(given: onnx.ModelProto) -> onnx.ModelProto:
    values = 2 * onnx.numpy_helper.to_array(given.graph.initializer[0])
    given.graph.initializer[0].raw_data = values.tobytes()
    return given


def _damages(given: onnx.ModelProto) -> onnx.ModelProto:
    del given.graph.initializer[:]
    return given


def _retires(given: onnx.ModelProto) -> onnx.ModelProto:
    """The same numbers by an operator that has no row."""
    given.graph.node[2].op_type = "LeakyRelu"
    given.graph.node[2].attribute.add(name="alpha", f=0.0, type=onnx.AttributeProto.FLOAT)
    return given


@pytest.mark.parametrize("slim", [_raises, _changes_weights, _damages, _retires])
def test_a_simplification_that_goes_wrong_is_not_used(
    slim: Callable[[onnx.ModelProto], onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxslim", types.SimpleNamespace(slim=slim))
    loaded = load_graph(small_cnn())
    assert "bn" in loaded.graph
    (warning,) = loaded.warnings
    assert warning.startswith("not simplified: ")
    inputs = floats(3, 2, 8, 8)
    assert largest_difference(run_model(small_cnn(), inputs), outputs(loaded, inputs)) <= 1e-6


def test_the_original_keeps_its_own_batch_size() -> None:
    loaded = load_graph(single("Relu", (3,), batch=4))
    inputs = floats(6, 3)
    np.testing.assert_array_equal(run_model(loaded.original, inputs), np.maximum(inputs, 0))


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Tanh", ("x",), "a"), node("Erf", ("a",), "y")]
    onnx.save(model(nodes, (3,)), path)
    with pytest.raises(UnsupportedModelError) as caught:
        load_graph(path)
    assert [f.where.file for f in caught.value.findings] == [str(path)] * 2


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_ends_in_an_error_of_ours_or_loads(seed: int) -> None:
    random, content = np.random.default_rng(seed), small_cnn().SerializeToString()
    for _ in range(25):
        damaged = bytearray(content)
        for place in random.integers(len(damaged), size=3):
            damaged[place] ^= 1 << int(random.integers(8))
        with contextlib.suppress(CompileError):
            load_graph(bytes(damaged), simplified=False)
