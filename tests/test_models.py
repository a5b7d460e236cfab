"""What models/manifest.toml says of the bundled networks and images is so."""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

MODELS = Path(__file__).resolve().parents[1] / "models"
MANIFEST = tomllib.loads((MODELS / "manifest.toml").read_text(encoding="utf-8"))
NETWORKS = MANIFEST["networks"]
ENTRIES = {name: entry for kind in MANIFEST.values() for name, entry in kind.items()}
IMAGES = MODELS / "demo_images.npz"
DATA_SETS = Path(
    os.environ.get("SPIKEC_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
TEST_IMAGES = DATA_SETS / "fashion_mnist.npz"
# The last digit of a score depends on the processor, and may decide one image.
ONE_IMAGE = 1.001


def correct(network: str, images: np.ndarray, labels: np.ndarray) -> int:
    """How many images onnxruntime classifies correctly."""
    session = onnxruntime.InferenceSession(
        MODELS / NETWORKS[network]["file"], providers=["CPUExecutionProvider"]
    )
    inputs = images[:, np.newaxis].astype(np.float32) / 255
    (logits,) = session.run(None, {session.get_inputs()[0].name: inputs})
    return int((logits.argmax(axis=1) == labels).sum())


def test_every_bundled_file_is_in_the_manifest() -> None:
    bundled = {*MODELS.glob("networks/*"), *MODELS.glob("*.npz")}
    assert {MODELS / entry["file"] for entry in ENTRIES.values()} == bundled


@pytest.mark.parametrize("name", ENTRIES)
def test_a_bundled_file_has_the_digest_size_and_origin_of_its_entry(name: str) -> None:
    entry = ENTRIES[name]
    content = (MODELS / entry["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert len(content) == entry["bytes"]
    assert entry["source"]
    assert entry["licence"]
    assert (MODELS.parent / entry["command"].split()[1]).is_file()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_as_accurate_on_the_demo_images_as_its_entry_says(name: str) -> None:
    with np.load(IMAGES) as images:
        measured = correct(name, images["test_x"], images["test_y"])
    entry = NETWORKS[name]
    assert measured == pytest.approx(entry["demo_accuracy"] * entry["demo_images"], abs=ONE_IMAGE)


@pytest.mark.skipif(not TEST_IMAGES.is_file(), reason="SPIKEC_DATA has no fashion_mnist.npz")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_as_accurate_on_the_test_images_as_its_entry_says(name: str) -> None:
    with np.load(TEST_IMAGES) as images:
        measured = correct(name, images["test_x"], images["test_y"])
    entry = NETWORKS[name]
    assert measured == pytest.approx(entry["accuracy"] * entry["accuracy_images"], abs=ONE_IMAGE)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_classifies_at_least_88_percent_correctly(name: str) -> None:
    assert NETWORKS[name]["accuracy"] >= 0.88


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_its_batch_norms_and_takes_batches_of_any_size(name: str) -> None:
    model = onnx.load(MODELS / NETWORKS[name]["file"])
    pooling = "MaxPool" if "max" in name else "AveragePool"
    assert {"BatchNormalization", pooling} <= {node.op_type for node in model.graph.node}
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_no_calibration_image_is_a_test_image() -> None:
    with np.load(IMAGES) as images:
        test, calibration = images["test_x"], images["calib_x"]
        sizes = {name: len(images[name]) for name in images.files}
    assert test.dtype == calibration.dtype == np.uint8
    assert sizes == {"test_x": 500, "test_y": 500, "calib_x": 128, "calib_y": 128}
    assert not {image.tobytes() for image in test} & {image.tobytes() for image in calibration}
