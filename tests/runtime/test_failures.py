"""Failures as a user meets them: which file is named, what machines read, what is left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from commands import spikec
from onnx import TensorProto, helper, numpy_helper

from spikec.compiler.arrays import Array
from spikec.compiler.errors import CalibrationError, OutputFileError
from spikec.runtime.compile import compile_model
from spikec.runtime.output import check_writable, written_beside


def dense_model(path: Path, *ops: str) -> Path:
    """x (N, 3) → one node per op, MatMul by a constant for "MatMul" → y."""
    names = ["x", *(f"v{i}" for i in range(1, len(ops))), "y"]
    nodes = [
        helper.make_node(op, [names[i], "w"] if op == "MatMul" else [names[i]], [names[i + 1]], op)
        for i, op in enumerate(ops)
    ]
    weights = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")]
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return dense_model(tmp_path / "net.onnx", "MatMul", "Relu")


def saved(path: Path, array: Array) -> Path:
    np.save(path, array)
    return path


def test_calibration_inputs_that_do_not_fit_name_their_own_file(
    model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.spikec"
    for array in (np.ones((4, 5)), np.ones(4), np.full((4, 3), np.nan)):
        calibration = saved(tmp_path / "calib.npy", array)
        result = spikec("compile", model, "--calibration", calibration, "-o", output)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {calibration}: Input 'x': ")
        assert not output.exists()


def test_calibration_inputs_of_another_shape_name_the_input_of_the_model(model: Path) -> None:
    with pytest.raises(CalibrationError, match=r"\(N, 3\), not \(N, 5\)") as caught:
        compile_model(model, np.ones((4, 5), np.float32))
    assert caught.value.where.node == "x"
    assert caught.value.where.file is None


def test_inputs_that_do_not_fit_name_their_file(net: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.ones((2, 4)), b=np.full((2, 3), np.inf))
    for array in "ab":
        for command, more in (("run", ("-o", tmp_path / "o.npz")), ("eval", ())):
            spec = f"{tmp_path / 'x.npz'}:{array}"
            result = spikec(command, net, spec, *more)
            assert result.exit_code == 1
            assert result.stderr.startswith(f"error: {spec}: 'pixels': ")


def test_an_image_that_is_not_finite_is_counted_over_all_batches(net: Path, tmp_path: Path) -> None:
    images = np.zeros((300, 3), np.float32)
    images[290] = np.nan  # in the second batch
    for command, more in (("run", ("-o", tmp_path / "o.npz")), ("eval", ("--batch-size", 7))):
        result = spikec(command, net, saved(tmp_path / "x.npy", images), *more)
        assert "image 290 holds NaN" in result.stderr


def test_labels_outside_the_classes_name_their_file(net: Path, tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    y = saved(tmp_path / "y.npy", np.array([0, 7]))
    result = spikec("eval", net, x, "--labels", y)
    assert result.stderr.startswith(f"error: {y}: label 7 of image 1 is no class")
    assert len(result.stderr.splitlines()) == 2


def test_an_ann_of_other_inputs_names_its_file(net: Path, model: Path, tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    result = spikec("eval", net, x, "--ann", model)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {model}: 'scores': the model has 3 outputs")


def test_a_name_for_the_array_of_an_npy_file_is_refused(net: Path, tmp_path: Path) -> None:
    x = saved(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    result = spikec("eval", net, f"{x}:images")
    assert result.stderr.startswith(f"error: {x}: holds one array without a name")


def test_python_objects_are_called_by_their_name(net: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    np.save(file, np.array([{}], object), allow_pickle=True)
    assert "holds Python objects" in spikec("eval", net, file).stderr


def test_a_folder_without_images_is_called_empty(net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    assert "the folder holds no images" in spikec("eval", net, folder).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "file", "problem"),
    [
        (("inspect", "absent.spikec"), 1, "absent.spikec", "cannot be read"),
        (("check", "absent.onnx"), 1, "absent.onnx", "no such file"),
        (("eval", "absent.spikec", "x.npy"), 1, "absent.spikec", "cannot be read"),
        (("inspect", "--unknown"), 2, None, "--unknown"),
    ],
)
def test_a_failure_is_one_json_object(
    arguments: tuple[str, ...], code: int, file: str | None, problem: str
) -> None:
    result = spikec(*arguments, "--json")
    assert result.exit_code == code
    content = json.loads(result.stdout)
    assert content["exit_code"] == code
    assert content["error"].get("file") == file
    assert problem in content["error"]["problem"]
    assert result.stderr.startswith("error: ")


def test_an_unsupported_model_lists_every_node_as_json(tmp_path: Path) -> None:
    model = dense_model(tmp_path / "net.onnx", "Erf", "MatMul", "Sin")
    x = saved(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    output = tmp_path / "o.spikec"
    failed = spikec("compile", model, "--calibration", x, "-o", output, "--json")
    findings = json.loads(failed.stdout)["error"]["findings"]
    assert [(f["node"], f["op"]) for f in findings] == [("Erf", "Erf"), ("Sin", "Sin")]
    assert all(f["file"] == str(model) and f["problem"] and f["hint"] for f in findings)
    checked = json.loads(spikec("check", model, "--json").stdout)
    assert [f["node"] for f in checked["findings"]] == ["Erf", "Sin"]
    assert not output.exists()


def test_a_device_is_no_place_for_an_output(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for check in (check_writable, lambda path: written_beside(path).__enter__()):
        with pytest.raises(OutputFileError, match="no regular file") as caught:
            check(pipe)
        assert caught.value.where.file == str(pipe)
    assert list(tmp_path.iterdir()) == [pipe]


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(OutputFileError, match="empty"):
        check_writable("")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with written_beside(tmp_path / "link") as beside:
        beside.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_an_interrupt_during_the_imports_has_no_traceback() -> None:
    lines = (
        "import sys, builtins",
        "from spikec.runtime.cli import main",
        "class Interrupted:",
        "    def find_spec(self, name, path=None, target=None):",
        "        raise KeyboardInterrupt",
        "sys.meta_path.insert(0, Interrupted())",
        "main()",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == "interrupted; no file is half-written\n"
