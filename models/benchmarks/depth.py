"""How the time of compiling grows with the depth of a network.

Residual networks of the shape of ResNet-20, 6·n + 2 layers for n blocks per stage, with random
weights; stages of 16, 32 and 64 channels at 32×32, 16×16 and 8×8 positions. What a layer costs
differs by stage, and all depths have the same share of each. With ``--data`` trained networks of 8
and 20 layers stand beside.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from command_line import count, note, refusals_in_words
from networks import NETWORKS, model_file
from onnx import helper, numpy_helper
from settings import Setting
from timing import Spread

import spikec
from spikec import Preprocessing

EXAMPLES = """\
examples:
  python models/benchmarks/depth.py
  python models/benchmarks/depth.py --images 64 --setting T=4,phi=4,pipeline=advanced
"""
CHANNELS = (16, 32, 64)
CLASSES = 10
SIZE = 32
TRAINED = ("mlperftiny_resnet8_cifar10", "resnet20_cifar10")
BLOCKS = (1, 3, 5, 9)
DEFAULT_SETTING = "T=4,phi=4"


class Draft:
    """An ONNX network that grows."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        """A further node; the name of its output."""
        name = f"{op.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def weights(self, *shape: int, gain: float = 1.0) -> str:
        """Random weights that keep the size of what rectified neurons send (He et al. 2015)."""
        deviation = gain * (2 / np.prod(shape[1:])) ** 0.5
        values = self._random.normal(0, deviation, shape).astype(np.float32)
        name = f"weights{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, source: str, shape: tuple[int, int], size: int, stride: int, gain: float) -> str:
        """A convolution from so many channels to so many, with borders that keep the size."""
        weights = self.weights(shape[1], shape[0], size, size, gain=gain)
        pads, strides = [size // 2] * 4, [stride] * 2
        return self.node("Conv", source, weights, pads=pads, strides=strides)

    def model(self, output: str) -> onnx.ModelProto:
        """The network from ``image`` to an output of classes."""
        shapes = {"image": ["N", 3, SIZE, SIZE], output: ["N", CLASSES]}
        ends = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ]
        graph = helper.make_graph(self._nodes, "resnet", ends[:1], ends[1:], self._weights)
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        onnx.checker.check_model(model)
        return model


def resnet(blocks: int, seed: int = 0) -> onnx.ModelProto:
    """A residual network of 6·blocks + 2 layers.

    What the blocks add is scaled so that activations grow as little at any depth.
    """
    draft, gain = Draft(seed), (1 / (len(CHANNELS) * blocks)) ** 0.5
    last, before = draft.node("Relu", draft.conv("image", (3, CHANNELS[0]), 3, 1, 1.0)), CHANNELS[0]
    for channels in CHANNELS:
        for _ in range(blocks):
            stride = channels // before
            inner = draft.node("Relu", draft.conv(last, (before, channels), 3, stride, 1.0))
            outer = draft.conv(inner, (channels, channels), 3, 1, gain)
            if stride > 1:
                last = draft.conv(last, (before, channels), 1, stride, 1.0)
            last, before = draft.node("Relu", draft.node("Add", outer, last)), channels
    pooled = draft.node("Flatten", draft.node("GlobalAveragePool", last))
    return draft.model(draft.node("Gemm", pooled, draft.weights(CLASSES, before), transB=1))


@dataclass(frozen=True)
class Subject:
    """A network with images to calibrate on.

    Attributes:
        name: In the table.
        layers: That have weights, shortcuts not counted.
    """

    name: str
    layers: int
    file: Path
    images: np.ndarray
    preprocessing: Preprocessing


def subjects(options: argparse.Namespace, folder: Path) -> Iterator[Subject]:
    """Random networks of every depth, and trained ones if there is a data folder."""
    images = np.random.default_rng(1).normal(size=(options.images, 3, SIZE, SIZE))
    for blocks in options.blocks:
        file, layers = folder / f"{blocks}.onnx", 6 * blocks + 2
        onnx.save(resnet(blocks), file)
        inputs = images.astype(np.float32)
        yield Subject(f"random, {layers} layers", layers, file, inputs, Preprocessing())
    for name in TRAINED if options.data else ():
        source, preprocessing = NETWORKS[name]
        calibration, _, _ = source.read(options.data)
        layers = 8 if "8" in name.split("_")[1] else 20
        model = model_file(name, options.data)
        yield Subject(name, layers, model, calibration[: options.images], preprocessing)


def seconds(subject: Subject, setting: Setting) -> float:
    """To compile once."""
    begin = time.perf_counter()
    spikec.compile(
        subject.file,
        subject.images,
        **dict(setting.options),
        preprocessing=subject.preprocessing,
        calibration_images=len(subject.images),
    )
    return time.perf_counter() - begin


def main() -> None:
    """Measure in turns, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, default = parser.add_argument, Setting.parse(DEFAULT_SETTING)
    folder = os.environ.get("SPIKEC_DATA")
    add("--data", type=Path, default=folder, help="data folder; without it random networks only")
    add("--blocks", type=count, nargs="+", default=BLOCKS, help="per stage (1 3 5 9)")
    add("--setting", type=Setting.parse, default=default, help=f"({DEFAULT_SETTING})")
    add("--images", type=count, default=256, help="that calibrate (256)")
    add("--repeats", type=count, default=3, help="(3)")
    with tempfile.TemporaryDirectory() as made, refusals_in_words():
        options = parser.parse_args()
        print(table(measured(list(subjects(options, Path(made))), options), options.setting))


def measured(found: list[Subject], options: argparse.Namespace) -> list[tuple[Subject, Spread]]:
    """Seconds of each; all are compiled once before any is compiled again."""
    taken: dict[str, list[float]] = {subject.name: [] for subject in found}
    for at in range(options.repeats):
        for subject in found:
            taken[subject.name].append(seconds(subject, options.setting))
            note(f"[{at + 1}/{options.repeats}] {subject.name}: {taken[subject.name][-1]:.1f} s")
    return [(subject, Spread.of(taken[subject.name])) for subject in found]


def table(rows: list[tuple[Subject, Spread]], setting: Setting) -> str:
    """Median and quartiles of seconds, in Markdown."""
    lines = [f"| compiled with {setting} | s | s per layer |", "| --- | --- | --- |"]
    for subject, spread in rows:
        each = spread.median / subject.layers
        times = f"{spread.median:.1f} ({spread.low:.1f} to {spread.high:.1f})"
        lines.append(f"| {subject.name} | {times} | {each:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
