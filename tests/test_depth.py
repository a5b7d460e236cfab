"""The measurement of time over depth compiles what it says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import spikec
from spikec.compiler.populations import AdaFire

BENCHMARKS = Path(__file__).resolve().parents[1] / "models" / "benchmarks"
sys.path.append(str(BENCHMARKS))

import depth  # noqa: E402
from settings import Setting  # noqa: E402
from timing import Spread  # noqa: E402


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_a_random_network_has_as_many_layers_as_its_name_says(blocks: int) -> None:
    nodes = depth.resnet(blocks).graph.node
    weighted = [node for node in nodes if node.op_type in ("Conv", "Gemm")]
    shortcuts = list(one_by_one(nodes))
    assert len(weighted) - len(shortcuts) == 6 * blocks + 2
    assert len(shortcuts) == 2


def one_by_one(nodes: list[onnx.NodeProto]) -> Iterator[str]:
    """Names of the convolutions without borders."""
    for node in nodes:
        pads = [list(each.ints) for each in node.attribute if each.name == "pads"]
        if pads == [[0, 0, 0, 0]]:
            yield node.name


def test_activations_grow_as_little_in_deep_networks() -> None:
    for blocks in (1, 9):
        model = depth.resnet(blocks).SerializeToString()
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (scores,) = session.run(None, {"image": images(8)})
        assert scores.shape == (8, 10)
        assert 0.1 < np.abs(scores).mean() < 10


def test_every_layer_becomes_a_population() -> None:
    file = onnx.load_from_string(depth.resnet(2).SerializeToString())
    program = spikec.compile(file, images(16), timesteps=2, phi=4)
    fired = [p for p in program.populations if isinstance(p, AdaFire)]
    assert len(fired) == 6 * 2 + 1


def test_networks_run_by_turns_and_the_table_tells_the_share_of_a_layer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = argparse.Namespace(
        images=4, blocks=[1, 2], data=None, repeats=2, setting=Setting.parse("T=2,phi=4")
    )
    found = list(depth.subjects(options, tmp_path))
    assert [(subject.name, subject.layers) for subject in found] == [
        ("random, 8 layers", 8),
        ("random, 14 layers", 14),
    ]
    order: list[int] = []

    def told(subject: depth.Subject, setting: Setting) -> float:
        order.append(subject.layers)
        return subject.layers / 2 + len(order)

    monkeypatch.setattr(depth, "seconds", told)
    rows = depth.measured(found, options)
    assert order == [8, 14, 8, 14]
    assert [spread.median for _, spread in rows] == [6.0, 10.0]


def test_the_table_tells_medians_quartiles_and_the_share_of_a_layer() -> None:
    subject = depth.Subject("net", 8, Path(), images(1), spikec.Preprocessing())
    shown = depth.table([(subject, Spread(3.0, 4.0, 6.0))], Setting.parse("T=4,phi=4"))
    assert shown.splitlines()[2] == "| net | 4.0 (3.0 to 6.0) | 0.50 |"


def test_a_network_is_compiled_on_all_images(tmp_path: Path) -> None:
    options = argparse.Namespace(images=4, blocks=[1], data=None)
    (subject,) = depth.subjects(options, tmp_path)
    assert depth.seconds(subject, Setting.parse("T=1,phi=4")) > 0
