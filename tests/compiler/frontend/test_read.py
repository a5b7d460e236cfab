"""What is no sound model file is refused by name; what is sound comes out sorted and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from model_files import file
from onnx import TensorProto, helper
from onnx_models import floats, model, node, single, small_cnn

from spikec.compiler.errors import CompileError, ModelFileError, ShapeError
from spikec.compiler.frontend.read import check_model, read_model


def refused(given: str | Path | bytes | onnx.ModelProto) -> CompileError:
    with pytest.raises(CompileError) as caught:
        read_model(given)
    return caught.value


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "absent.onnx")
    assert isinstance(error, ModelFileError)
    assert error.where.file == str(tmp_path / "absent.onnx")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refused(str(tmp_path)).where.file == str(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-LFS"),
        (b"a plain text file\n", "text"),
        (b"PK\x03\x04 something", "zip"),
        (b"\x1c\x00\x00\x00TFL3....", "TensorFlow Lite"),
        (b"<html></html>", "markup"),
        (small_cnn().SerializeToString()[:1500], "truncated"),
    ],
)
def test_a_file_that_is_no_model_is_recognised(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    error = refused(path)
    assert isinstance(error, ModelFileError)
    assert error.where.file == str(path)
    assert says in error.problem


def test_a_model_in_memory_is_not_changed() -> None:
    given = small_cnn()
    before = given.SerializeToString(deterministic=True)
    read_model(given, (2, 8, 8))
    assert given.SerializeToString(deterministic=True) == before


def test_path_bytes_and_message_give_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(small_cnn(), path)
    results = [read_model(path), read_model(path.read_bytes()), read_model(small_cnn())]
    texts = {result.SerializeToString(deterministic=True) for result in results}
    assert len(texts) == 1
    assert check_model(path).sha256 == check_model(path.read_bytes()).sha256


def broken(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    given = small_cnn()
    change(given)
    return given


def _set_input_type(given: onnx.ModelProto) -> None:
    given.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def _short_raw(given: onnx.ModelProto) -> None:
    given.graph.initializer[0].raw_data = given.graph.initializer[0].raw_data[:-8]


def _nan(given: onnx.ModelProto) -> None:
    weights = floats(4, 2, 3, 3)
    weights[0, 0, 0, 0] = np.nan
    given.graph.initializer[0].raw_data = weights.tobytes()


def _second_input(given: onnx.ModelProto) -> None:
    given.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 2)))
    given.graph.node[1].input[1] = "z"


BROKEN: list[tuple[str, Callable[[onnx.ModelProto], object], str | None]] = [
    ("no opset", lambda m: m.ClearField("opset_import"), None),
    ("old opset", lambda m: setattr(m.opset_import[0], "version", 6), None),
    ("future opset", lambda m: setattr(m.opset_import[0], "version", 1000), None),
    ("no graph", lambda m: m.ClearField("graph"), None),
    ("no nodes", lambda m: m.graph.ClearField("node"), None),
    ("absent value", lambda m: m.graph.initializer.pop(0), "conv"),
    ("cycle", lambda m: m.graph.node[0].input.__setitem__(0, "relu"), "conv"),
    ("two makers", lambda m: m.graph.node[2].output.__setitem__(0, "bn"), "relu"),
    ("integer input", _set_input_type, "x"),
    ("two inputs", _second_input, "bn"),
    ("two outputs", lambda m: m.graph.output.add(name="pool"), "pool"),
    ("short weights", _short_raw, "conv"),
    ("negative shape", lambda m: m.graph.initializer[0].dims.__setitem__(0, -4), "conv"),
    ("unknown type", lambda m: setattr(m.graph.initializer[0], "data_type", 99), "conv"),
    ("NaN", _nan, "conv"),
    ("unknown attribute", lambda m: m.graph.node[2].attribute.add(name="a", i=1, type=2), "relu"),
    ("too few operands", lambda m: m.graph.node[0].ClearField("input"), "conv"),
]


@pytest.mark.parametrize(
    ("change", "where"), [b[1:] for b in BROKEN], ids=[name for name, *_ in BROKEN]
)
def test_a_broken_model_is_refused_where_it_breaks(
    change: Callable[[onnx.ModelProto], object], where: str | None
) -> None:
    error = refused(broken(change))
    assert isinstance(error, ModelFileError)
    assert error.where.node == where


@pytest.mark.parametrize("name", ["strides", "dilations", "kernel_shape"])
@pytest.mark.parametrize("length", [0, -1])
def test_windows_that_do_not_advance_are_refused(name: str, length: int) -> None:
    error = refused(single("Conv", (2, 5, 5), ("x", floats(2, 2, 3, 3)), **{name: [length, 3]}))
    assert isinstance(error, ShapeError)
    assert (error.where.node, error.where.op) == ("y", "Conv")


def test_an_infinite_limit_of_a_clip_is_no_broken_weight() -> None:
    read_model(single("Clip", (3,), ("x", np.float32(0), np.float32(np.inf))))


def test_nodes_are_sorted() -> None:
    given = small_cnn()
    nodes = list(given.graph.node)[::-1]
    reverse = onnx.ModelProto()
    reverse.CopyFrom(given)
    reverse.graph.ClearField("node")
    reverse.graph.node.extend(nodes)
    assert [n.name for n in read_model(reverse).graph.node] == [n.name for n in given.graph.node]


def test_unnamed_and_doubly_named_nodes_get_names_of_their_own() -> None:
    given = small_cnn()
    for position, name in enumerate(["", "x", "same", "same", "", "Conv_0"]):
        given.graph.node[position].name = name
    names = [n.name for n in read_model(given).graph.node]
    assert names == ["Conv_0_1", "x_1", "same", "same_1", "Flatten_4", "Conv_0"]


def test_the_batch_axis_is_fixed_and_stale_shapes_are_gone() -> None:
    given = single("Relu", (3, 4), batch=8)
    given.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, (8, 3, 4)))
    fixed = read_model(given).graph
    assert [d.dim_value for d in fixed.input[0].type.tensor_type.shape.dim] == [1, 3, 4]
    assert not fixed.output[0].type.tensor_type.HasField("shape")


def test_an_open_axis_is_given_by_the_caller() -> None:
    given = single("Relu", (3, "height"))
    error = refused(given)
    assert isinstance(error, ShapeError)
    assert error.where.node == "x"
    assert "--input-shape" in error.hint
    fixed = read_model(given, (3, 5)).graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in fixed.dim] == [1, 3, 5]


@pytest.mark.parametrize("shape", [(4, 5), (3,), (3, 5, 1), (3, 0), (3, 2**40)])
def test_a_shape_that_contradicts_the_model_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        read_model(single("Relu", (3, "height")), shape)
    assert caught.value.where.node == "x"


def test_an_input_without_batch_axis_is_refused() -> None:
    error = refused(single("Relu", ()))
    assert isinstance(error, ModelFileError)
    assert error.where.node == "x"


def test_initializers_listed_as_inputs_are_constants() -> None:
    given = small_cnn()
    given.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (4, 2, 3, 3)))
    read_model(given)


def test_a_value_read_inside_a_branch_counts_as_read() -> None:
    inner = helper.make_graph(
        [node("Relu", ("x",), "r")], "then", [], [helper.make_empty_tensor_value_info("r")]
    )
    branch = helper.make_node("If", ["c"], ["y"], name="y", then_branch=inner, else_branch=inner)
    given = model([branch], (3,), {"c": np.bool_(True)})
    given.graph.input[0].name = "z"
    assert refused(given).where.node == "y"


def external(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(small_cnn(), path, save_as_external_data=True, location="net.bin", size_threshold=16)
    return path


def test_external_data_is_read_from_the_models_folder(tmp_path: Path) -> None:
    inside = read_model(small_cnn()).graph.initializer
    outside = read_model(external(tmp_path)).graph.initializer
    assert [t.raw_data for t in outside] == [t.raw_data for t in inside]


@pytest.mark.parametrize("location", ["../net.bin", "/etc/hostname", "absent.bin", ""])
def test_external_data_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    path = external(tmp_path)
    (tmp_path.parent / "net.bin").write_bytes(b"0" * 4096)
    given = onnx.load(path, load_external_data=False)
    given.graph.initializer[0].external_data[0].value = location
    path.write_bytes(given.SerializeToString())
    error = refused(path)
    assert isinstance(error, ModelFileError)
    assert (error.where.node, error.where.file) == ("w", str(path))


def test_external_data_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "net.bin").write_bytes(b"0" * 16)
    assert refused(path).where.node == "w"


def test_external_data_of_a_model_in_memory_is_refused(tmp_path: Path) -> None:
    given = onnx.load(external(tmp_path), load_external_data=False)
    assert refused(given).where.node == "w"


@pytest.mark.parametrize(
    ("name", "kind", "where"),
    [
        ("cycle", ModelFileError, "Conv_0"),
        ("empty", ModelFileError, None),
        ("external_data_absent", ModelFileError, "w_2"),
        ("lfs_pointer", ModelFileError, None),
        ("missing_initializer", ModelFileError, "Conv_0"),
        ("nan_weights", ModelFileError, "Conv_0"),
        ("no_opset", ModelFileError, None),
        ("short_raw_data", ModelFileError, "Conv_0"),
        ("string_input", ModelFileError, "input"),
        ("truncated_half", ModelFileError, None),
        ("zero_stride", ShapeError, "Conv_0"),
    ],
)
def test_malformed_files_are_refused_by_name(
    name: str, kind: type[CompileError], where: str | None
) -> None:
    path = file(f"onnx_malformed/{name}.onnx")
    error = refused(path)
    assert type(error) is kind
    assert (error.where.node, error.where.file) == (where, str(path))
