"""Measures how fast the simulator is, alone and beside what else computes the same.

  peaks     what one core adds and multiplies at most
  layers    one connection at a time, at several densities and payloads
  networks  whole networks on the simulator, a PyTorch loop, SpikingJelly, sinabs, onnxruntime
  scaling   time steps, images, threads
  starts    new processes with and without cached machine code, and their memory

What is compared runs in turns in one process, on one thread unless threads are varied; figures are
medians and quartiles over the repeats. The spikes of the PyTorch loop must equal the simulator's.
Every finished unit is kept in one JSON file, so an interrupted measurement goes on where it
stopped; ``--report`` turns the file into tables and a plot. The libraries that are compared have an
environment of their own:

  python -m venv build/rivals
  build/rivals/bin/pip install -r models/benchmarks/requirements-simulator.txt .

The data folder is that of accuracy.py; without it only random networks are measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from machine import machine, one_thread, peaks
from measured import Cell, Measurements
from scaling import AXES, scaled
from simulator_report import write_report
from single_layers import DENSITIES, LAYERS, PHIS, measured
from single_layers import unit as layer_unit
from starts import started
from subjects import MOBILENET, RESNET20, SUBJECTS, VGG16_5, Subject

EXAMPLES = """\
examples:
  build/rivals/bin/python models/benchmarks/simulator.py --data ~/data
  build/rivals/bin/python models/benchmarks/simulator.py --only layers networks/vgg16 --again
  build/rivals/bin/python models/benchmarks/simulator.py --quick --results build/quick.json
  build/rivals/bin/python models/benchmarks/simulator.py --report docs/simulator.md
"""
SCALED = (RESNET20, VGG16_5)
STARTED = ((RESNET20, 8), (RESNET20, 64), (VGG16_5, 4), (MOBILENET, 1))
"""Subjects of new processes, with their batches."""
MOST_STARTS = 5


@dataclass(frozen=True)
class Options:
    """How thoroughly to measure.

    Attributes:
        folder: Of data sets and networks; None: random networks only.
        programs: Folder where compiled and tuned programs are kept.
        repeats: Turns.
        quick: One density, no sizes but the smallest programs: to see that all works.
    """

    folder: Path | None
    programs: Path
    repeats: int
    quick: bool = False


Unit = tuple[str, str, Callable[[], Iterable[Cell]]]
"""Section, name, and what measures it."""


def units(options: Options) -> Iterator[Unit]:
    """Everything there is to measure, in order."""
    yield "peaks", "peaks", lambda: peaks(options.repeats)
    densities = DENSITIES[1:2] if options.quick else DENSITIES
    for layer in LAYERS:
        for phi in PHIS:
            work = partial(measured, layer, phi, densities, options.repeats)
            yield "layers", layer_unit(layer, phi), work
    for subject in _available(SUBJECTS, options):
        yield "networks", subject.name, partial(_networks, subject, options)
    for subject in () if options.quick else _available(SCALED, options):
        for axis in AXES:
            name = f"{subject.name} {axis}"
            yield "scaling", name, partial(_scaling, name, subject, options)
    for subject, images in STARTED:
        if subject in _available(SUBJECTS, options):
            name = f"{subject.name}, {images} images"
            yield "starts", name, partial(_starts, name, subject, images, options)


def _available(subjects: Iterable[Subject], options: Options) -> list[Subject]:
    return [s for s in subjects if options.folder is not None or not s.needs_images]


def _networks(subject: Subject, options: Options) -> Iterable[Cell]:
    from engines import compared  # needs PyTorch

    program = subject.program(options.programs, options.folder)
    inputs = subject.inputs(program, subject.images, options.folder)
    return compared(subject.name, program, inputs, options.repeats)


def _scaling(name: str, subject: Subject, options: Options) -> Iterable[Cell]:
    program = subject.program(options.programs, options.folder)
    inputs = partial(subject.inputs, program, folder=options.folder)
    return scaled(name, program, subject.images, inputs, options.repeats)


def _starts(name: str, subject: Subject, images: int, options: Options) -> Iterable[Cell]:
    program = subject.program(options.programs, options.folder)
    inputs = subject.inputs(program, images, options.folder)
    return started(name, subject.file(options.programs), inputs, min(options.repeats, MOST_STARTS))


def chosen(all_units: Iterable[Unit], only: Iterable[str]) -> list[Unit]:
    """Units whose "section/name" begins with one of the texts; all of them if there is none."""
    only = tuple(only)
    return [unit for unit in all_units if not only or f"{unit[0]}/{unit[1]}".startswith(only)]


def measure(todo: list[Unit], measurements: Measurements, *, again: bool) -> None:
    """Measure what is not measured yet, or all of it again."""
    for number, (section, unit, work) in enumerate(todo, 1):
        title = f"[{number}/{len(todo)}] {section}/{unit}"
        if measurements.finished(section, unit) and not again:
            note(f"{title}: measured before")
            continue
        begin = time.perf_counter()
        cells = list(work())
        measurements.replace(section, unit, cells)
        note(f"{title}: {time.perf_counter() - begin:.0f} s")


def note(line: str) -> None:
    """Progress goes to standard error."""
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = result.add_argument
    add("--data", type=Path, default=os.environ.get("SPIKEC_DATA"), help="data folder")
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="sections, or section/beginning of a name; --list prints them",
    )
    add("--list", action="store_true", help="print what would be measured, and stop")
    add("--again", action="store_true", help="measure anew what the file has already")
    add("--quick", action="store_true", help="3 repeats, fewer densities, no scaling")
    add("--repeats", type=int, default=0, help="turns (9; with --quick 3)")
    add(
        "--results",
        type=Path,
        default=Path("build/simulator.json"),
        help="what was measured (build/simulator.json); programs are kept in programs/ beside it",
    )
    add(
        "--report", type=Path, metavar="FILE", help="write tables and plot of the results, and stop"
    )
    return result


def main() -> None:
    """Measure, or report."""
    options = parser().parse_args()
    if options.report is not None:
        write_report(Measurements(options.results), options.report)
        return
    thorough = Options(
        folder=Path(options.data) if options.data else None,
        programs=options.results.parent / "programs",
        repeats=options.repeats or (3 if options.quick else 9),
        quick=options.quick,
    )
    todo = chosen(units(thorough), options.only)
    if options.list:
        print("\n".join(f"{section}/{unit}" for section, unit, _ in todo))
        return
    with one_thread():
        measure(todo, Measurements(options.results, machine()), again=options.again)


if __name__ == "__main__":
    main()
