"""Measures what other converters lose on the same networks and images, and spikec beside them.

Every converter starts from the same float weights and from the calibration images that spikec
draws by the seed, and is evaluated on the same test images with the ANN beside. All neurons fire
one spike or none per step; those of spikec-retract take early ones back by a spike of −1, those of
spikec-windowed fire T steps after they have integrated T, and those of spikec-graded fire up to 4
per step, which travel as one event with a payload. spikec's weights and inputs are 8-bit integers,
all others' float32. spikec-best lets its weights learn, for which it needs torch and minutes for
each network, T and seed; all others of spikec take seconds.

SpikingJelly is converted by its ``RateCodingRecipe`` and sinabs by its ``from_model``; the head of
conversions.py says with which options. Both are needed only to measure; they are in
requirements-simulator.txt. Finished cells are kept in a file of JSON lines, so an interrupted
measurement goes on where it stopped. The tables are Markdown.

The data folder (``--data`` or $SPIKEC_DATA) is the one of accuracy.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from activity import per_image
from command_line import count, measuring, note, refusals_in_words
from converter_tables import Conversion, Key, detail_table, grouped, loss_table
from networks import NETWORKS, model_file
from records import append, finished

import spikec
from spikec import Preprocessing
from spikec.compiler.ann import run_model
from spikec.compiler.arrays import Array
from spikec.compiler.calibration import drawn
from spikec.compiler.frontend.load import load_graph
from spikec.runtime.preprocess import preprocess

EXAMPLES = """\
examples:
  python models/benchmarks/converters.py --data ~/data
  python models/benchmarks/converters.py --network resnet20_cifar10 --timesteps 8 32 --seeds 1
  python models/benchmarks/converters.py --converter spikec-plain sinabs-max --images 100
  python models/benchmarks/converters.py --converter spikec-plain spikec-best --timesteps 4
"""
OURS: dict[str, dict[str, object]] = {
    "spikec-plain": {},
    "spikec-retract": {"fire": "retract"},
    "spikec-windowed": {"windowed": True},
    "spikec-graded": {"phi": 4},
    "spikec-best": {"pipeline": "best", "weight_calibration": "gradient"},
}
"""Options other than φ = 1 and the pipeline "light"; to name "gradient" makes torch a must."""
CHECKED = 50
"""Images on which the twin that the others convert is compared with the ONNX file."""
DEFAULT_NETWORKS = ("resnet20_cifar10", "fashion_avgpool")
THEIRS = (
    "spikingjelly-99.9",
    "spikingjelly-max",
    "spikingjelly-channel-99-half",
    "spikingjelly-balanced",
    "sinabs-99",
    "sinabs-max",
    "sinabs-normalize_weights-99",
)
CONVERTERS = (*THEIRS, *OURS)
DEFAULT_CONVERTERS = tuple(name for name in CONVERTERS if name != "spikec-best")


@dataclass(frozen=True)
class Task:
    """Cells that one conversion gives, one per T; ``images`` is what there is at most."""

    network: str
    converter: str
    timesteps: tuple[int, ...]
    seed: int
    images: int
    calibration_images: int

    def cells(self) -> list[Key]:
        """Their keys."""
        counts = self.seed, self.images, self.calibration_images
        return [(self.network, self.converter, steps, *counts) for steps in self.timesteps]


@dataclass(frozen=True)
class Images:
    """What one task reads; raw images with labels, and the model's file."""

    model: Path
    preprocessing: Preprocessing
    calibration: Array
    test: Array
    labels: Array

    @classmethod
    def of(cls, task: Task, folder: Path) -> Images:
        """Those of the task's network."""
        source, preprocessing = NETWORKS[task.network]
        calibration, test, labels = source.read(folder)
        chosen = test[: task.images], labels[: task.images]
        return cls(model_file(task.network, folder), preprocessing, calibration, *chosen)


Found = tuple[float, float, float, float, float, float]
"""Accuracy, the ANN's accuracy, agreement, spikes and events per image, seconds to convert."""


def measure(task: Task, folder: Path) -> Iterator[Conversion]:
    """Convert and evaluate; a cell for each T."""
    images = Images.of(task, folder)
    found = _ours(task, images) if task.converter in OURS else _theirs(task, images)
    for key, values in zip(task.cells(), found, strict=True):
        yield Conversion(*key, *values)


def _theirs(task: Task, images: Images) -> Iterator[Found]:
    """One run of the most steps: its beginning is the run of fewer."""
    import torch
    from conversions import LIBRARIES
    from torch_twin import check_twin, torch_twin

    chosen = drawn(len(images.calibration), task.calibration_images, task.seed)
    calibration = preprocess(images.calibration[chosen], images.preprocessing)
    test = preprocess(images.test, images.preprocessing)
    logits = run_model(images.model, test)
    twin = torch_twin(load_graph(images.model))
    check_twin(twin, torch.from_numpy(test[:CHECKED]), logits[:CHECKED])
    begin = time.perf_counter()
    converted = LIBRARIES[task.converter](twin, torch.from_numpy(calibration))
    seconds = time.perf_counter() - begin
    sums, spikes = converted.run(torch.from_numpy(test), max(task.timesteps))
    ann = logits.argmax(1)
    for steps in task.timesteps:
        classes = sums[:, steps - 1].argmax(1)
        right, ann_right = np.mean(classes == images.labels), np.mean(ann == images.labels)
        agreement = np.mean(classes == ann)
        fired = float(spikes[:, steps - 1].mean())  # one spike is one event
        yield float(right), float(ann_right), float(agreement), fired, fired, seconds


def _ours(task: Task, images: Images) -> Iterator[Found]:
    """A program for each T."""
    for steps in task.timesteps:
        begin = time.perf_counter()
        program = spikec.compile(
            images.model,
            images.calibration,
            timesteps=steps,
            **{"phi": 1, "pipeline": "light", **OURS[task.converter]},
            seed=task.seed,
            preprocessing=images.preprocessing,
            calibration_images=task.calibration_images,
        )
        seconds = time.perf_counter() - begin
        report = spikec.evaluate(program, images.test, images.labels, ann=images.model)
        spikes, events = (per_image(report, counted) for counted in ("spikes", "events"))
        yield report.accuracy, report.ann_accuracy, report.agreement, spikes, events, seconds


def cells_of(tasks: Iterable[Task], folder: Path, file: Path) -> Iterator[Conversion]:
    """Each task's cells, from the file or measured now and appended to it."""
    tasks = list(tasks)
    known = finished(file, Conversion)
    file.parent.mkdir(parents=True, exist_ok=True)
    for number, task in enumerate(tasks, 1):
        if not all(key in known for key in task.cells()):
            for cell in measure(task, folder):
                known[cell.key] = cell
                append(cell, file)
        for key in task.cells():
            cell = known[key]
            note(
                f"[{number}/{len(tasks)}] {cell.network} {cell.converter} T={cell.timesteps} "
                f"seed {cell.seed}: {cell.accuracy:.2%}, ANN {cell.ann_accuracy:.2%}"
            )
            yield cell


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = measuring(__doc__, EXAMPLES, "build/converters.jsonl")
    add = result.add_argument
    named = {"nargs": "+", "metavar": "NAME"}
    text = f"by default {' '.join(DEFAULT_NETWORKS)}"
    add("--network", choices=NETWORKS, default=DEFAULT_NETWORKS, help=text, **named)
    text = f"of {', '.join(CONVERTERS)}; by default {', '.join(DEFAULT_CONVERTERS)}"
    add("--converter", choices=CONVERTERS, default=DEFAULT_CONVERTERS, help=text, **named)
    steps = (4, 8, 16, 32)
    add("--timesteps", type=count, nargs="+", default=steps, metavar="T", help="4 8 16 32")
    add("--calibration-images", type=count, default=256, help="drawn by the seed (256)")
    return result


def tasks_of(options: argparse.Namespace) -> Iterator[Task]:
    """What the command line asks for."""
    for network in options.network:
        _, test, _ = NETWORKS[network][0].read(options.data)
        images = min(options.images or len(test), len(test))
        for converter in options.converter:
            for seed in range(options.seeds):
                steps = tuple(sorted(set(options.timesteps)))
                yield Task(network, converter, steps, seed, images, options.calibration_images)


def main() -> None:
    """Measure what is not measured yet, print the tables."""
    options = parser().parse_args()
    with refusals_in_words():
        groups = grouped(cells_of(tasks_of(options), options.data, options.results))
    print("\nPoints lost against the ANN, mean ± standard deviation over calibration seeds\n")
    print("\n".join(loss_table(groups)))
    print("\nThe same, with what it takes\n")
    print("\n".join(detail_table(groups)))


if __name__ == "__main__":
    main()
