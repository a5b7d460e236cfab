"""Measures what conversion costs in accuracy: networks × settings × calibration seeds.

Every cell compiles a network with calibration images drawn by the seed, and evaluates it on all
test images with the ANN beside. Finished cells are kept in a file of JSON lines, so an interrupted
measurement goes on where it stopped. The tables are Markdown; accuracy_plot.py draws the file.

The data folder (``--data`` or $SPIKEC_DATA) holds ``cifar10.npz``, ``fashion_mnist.npz``, the two
``imagenet_sample_200_u8_*.npz`` and, in ``nets/``, the networks that are not bundled.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import fmean

from activity import per_image
from command_line import measuring, note, refusals_in_words
from networks import DEFAULT_NETWORKS, NETWORKS, model_file
from records import append, finished
from settings import Setting
from tables import Cell, detail_table, grouped, loss_table

import spikec
from spikec import Report
from spikec.compiler.populations import AdaFire

EXAMPLES = """\
examples:
  python models/benchmarks/accuracy.py --data ~/data
  python models/benchmarks/accuracy.py --network resnet20_cifar10 --setting T=4,phi=4 --seeds 1
  python models/benchmarks/accuracy.py --network fashion_avgpool --setting T=8,phi=4,fire=retract
  python models/benchmarks/accuracy.py --setting T=2,phi=15,weights=gradient
  python models/benchmarks/accuracy.py --setting T=8,phi=4,pipeline=adaptive
  python models/benchmarks/accuracy.py --setting T=8,phi=4,compress,accuracy_loss=1.5
  python models/benchmarks/accuracy.py --images 100 --setting T=16,phi=1,windowed
  python models/benchmarks/accuracy.py --setting T=8,phi=1,windowed,reuse_silent,extra_neurons=0.25
  python models/benchmarks/accuracy.py --setting T=8,phi=4 T=32,phi=1 --quantised-ann
"""
DEFAULT_SETTINGS = ("T=32,phi=1", "T=4,phi=4", "T=4,phi=8", "T=2,phi=15", "T=16,phi=1,windowed")
COST_TABLE = "cmos45_int8"
ENERGIES = {
    "energy_unary": "SNN, unary",
    "energy_graded": "SNN, graded",
    "energy_ann": "ANN, int8",
    "energy_matched_ann": "ANN, as many bits as the spike count",
}
"""Fields of a cell, and the estimates of the cost table that they hold."""


@dataclass(frozen=True)
class Task:
    """A cell to be measured; ``images`` 0 means all."""

    network: str
    setting: Setting
    seed: int
    images: int
    calibration_images: int


def measure(task: Task, folder: Path) -> Cell:
    """Compile and evaluate once."""
    source, preprocessing = NETWORKS[task.network]
    calibration, test, labels = source.read(folder)
    test, labels = test[: task.images or None], labels[: task.images or None]
    model = model_file(task.network, folder)
    chosen = {"calibration_images": task.calibration_images} if task.calibration_images else {}
    begin = time.perf_counter()
    program = spikec.compile(
        model,
        calibration,
        **dict(task.setting.options),
        seed=task.seed,
        preprocessing=preprocessing,
        **chosen,
    )
    compiled = time.perf_counter()
    report = spikec.evaluate(program, test, labels, ann=model)
    evaluated = time.perf_counter()
    populations = [p for p in program.populations if isinstance(p, AdaFire)]
    phis = [population.phi for population in populations]
    return Cell(
        network=task.network,
        setting=str(task.setting),
        seed=task.seed,
        images=len(test),
        calibration_images=task.calibration_images,
        accuracy=report.accuracy,
        ann_accuracy=report.ann_accuracy,
        agreement=report.agreement,
        spikes=per_image(report, "spikes"),
        synops=per_image(report, "graded"),
        synops_unary=per_image(report, "unary"),
        compile_seconds=compiled - begin,
        evaluate_seconds=evaluated - compiled,
        digest=report.digest,
        mean_timesteps=report.mean_timesteps,
        mean_phi=fmean(phis) if phis else None,
        neurons=sum(prod(population.shape) for population in populations),
        **energies(report),
    )


def energies(report: Report) -> dict[str, float]:
    """µJ per image by field of a cell."""
    (profile,) = (p for p in report.energy if p.table.name == COST_TABLE)
    return {field: profile.estimate(name).total_pj / 1e6 for field, name in ENERGIES.items()}


def cells_of(tasks: Iterable[Task], folder: Path, file: Path) -> Iterator[Cell]:
    """Each task's cell, from the file or measured now and appended to it."""
    tasks = list(tasks)
    known = finished(file, Cell)
    file.parent.mkdir(parents=True, exist_ok=True)
    for number, task in enumerate(tasks, 1):
        _, test, _ = NETWORKS[task.network][0].read(folder)
        images = min(task.images or len(test), len(test))
        key = (task.network, str(task.setting), task.seed, images, task.calibration_images)
        cell = known.get(key)
        if cell is None:
            cell = measure(task, folder)
            append(cell, file)
        note(
            f"[{number}/{len(tasks)}] {cell.network} {cell.setting} seed {cell.seed}: "
            f"{cell.accuracy:.2%}, ANN {cell.ann_accuracy:.2%}, "
            f"{cell.compile_seconds:.1f} + {cell.evaluate_seconds:.1f} s"
        )
        yield cell


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = measuring(__doc__, EXAMPLES, "build/accuracy.jsonl")
    add = result.add_argument
    add(
        "--network",
        nargs="+",
        choices=NETWORKS,
        default=DEFAULT_NETWORKS,
        metavar="NAME",
        help=f"of {', '.join(NETWORKS)}; all but the last two by default",
    )
    add(
        "--setting",
        nargs="+",
        type=Setting.parse,
        metavar="SETTING",
        default=[Setting.parse(text) for text in DEFAULT_SETTINGS],
        help=f"by default {' '.join(DEFAULT_SETTINGS)}",
    )
    add(
        "--calibration-images",
        type=int,
        default=0,
        help="drawn by the seed; 0: as many as the compiler takes by default",
    )
    add(
        "--quantised-ann",
        action="store_true",
        help="measure too, once for each φT, the ANN with φT + 1 levels per activation and int8 "
        "weights: the program with T=1 and φ=φT, at most 255, by the pipeline light; φ is the "
        "largest that the setting allows where a search chooses it per layer",
    )
    return result


def columns(settings: Sequence[Setting], *, quantised_ann: bool) -> tuple[Setting, ...]:
    """The settings, and behind them, by option, the quantised ANN of each φT."""
    more = (setting.quantised_ann for setting in settings) if quantised_ann else ()
    return tuple(dict.fromkeys((*settings, *more)))


def main() -> None:
    """Measure what is not measured yet, print the tables."""
    options = parser().parse_args()
    tasks = (
        Task(network, setting, seed, options.images, options.calibration_images)
        for network in options.network
        for setting in columns(options.setting, quantised_ann=options.quantised_ann)
        for seed in range(options.seeds)
    )
    with refusals_in_words():
        groups = grouped(cells_of(tasks, options.data, options.results))
    print("\nPoints lost against the ANN, mean ± standard deviation over calibration seeds\n")
    print("\n".join(loss_table(groups)))
    print("\nPer image\n")
    print("\n".join(detail_table(groups)))


if __name__ == "__main__":
    main()
