"""What the benchmark of the simulator finds, and the file that keeps it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from timing import Spread

OURS, REFERENCE = "spikec", "spikec's reference"
TWIN = "onnxruntime, T float passes"
"""Names of engines that others are held against."""
ADDITIONS = "int16 sums in registers, int16 weights from the first-level cache: adds"
WIDENED = "the same with int8 weights, widened one by one: adds"
"""Names of peaks."""

Kind = TypeVar("Kind", bound="Cell")


@dataclass(frozen=True)
class Cell:
    """One line of a table.

    Attributes:
        unit: What it was measured in; all cells of a unit were measured in turns.
    """

    unit: str


@dataclass(frozen=True)
class Peak(Cell):
    """What one core can do at most, in a loop that does nothing else.

    Attributes:
        operation: In words.
        rate: 10⁹ per second of CPU time.
    """

    operation: str
    rate: Spread


@dataclass(frozen=True)
class Layer(Cell):
    """One connection into one population, one thread; times are CPU µs per image and step.

    Attributes:
        layer: Its shape.
        phi: Largest payload.
        density: Events per neuron of the source and step.
        events: Synaptic operations per image and step, one per event and synapse.
        whole: Of connection and neurons.
        silent: The same when no neuron of the source fires.
        rate: 10⁹ synaptic operations per second of what events add, whole − silent; 0 where that
            cannot be told from nothing.
        share: The rate over that of additions alone, turn by turn.
    """

    layer: str
    phi: int
    density: float
    events: float
    whole: Spread
    silent: Spread
    rate: Spread
    share: Spread


@dataclass(frozen=True)
class Engine(Cell):
    """A whole network on one engine, one thread.

    Attributes:
        network: Name, with what was chosen about it.
        engine: Who ran it.
        images: Batch.
        timesteps: T.
        phi: φ.
        density: Events per neuron and step, the input aside.
        synops: Synaptic operations per image and step, one per event and synapse.
        frames: Images × steps per second of CPU time.
        ratio: CPU time over that of spikec's simulator, turn by turn.
        difference: Largest difference of a score from the simulator's, over the largest score; −1
            if the engine does not compute the same.
    """

    network: str
    engine: str
    images: int
    timesteps: int
    phi: int
    density: float
    synops: float
    frames: Spread
    ratio: Spread
    difference: float


@dataclass(frozen=True)
class Scale(Cell):
    """A whole network at one size.

    Attributes:
        network: Name.
        axis: What is varied: "timesteps", "images" or "threads".
        images: Batch.
        timesteps: T.
        threads: Images that run at the same time.
        synops: Synaptic operations per image and step, one per event and synapse: a network needs
            some steps until its deep layers fire.
        cpu: Images × steps per second of CPU time, all threads together.
        wall: The same per second that passed.
    """

    network: str
    axis: str
    images: int
    timesteps: int
    threads: int
    synops: float
    cpu: Spread
    wall: Spread


@dataclass(frozen=True)
class Start(Cell):
    """A new process that runs a program, one thread; times are seconds of CPU time.

    Attributes:
        network: Name.
        cache: Whether the folder of machine code was "empty" or "filled".
        images: Batch.
        imports: Until spikec is imported.
        load: Of reading the program.
        first: Of the first run.
        later: Of the second run.
        start: What the first run took longer, process by process.
        peak: Largest resident memory in MB.
        before: The same before the first run.
        cached: Size of the folder of machine code after it, in MB.
    """

    network: str
    cache: str
    images: int
    imports: Spread
    load: Spread
    first: Spread
    later: Spread
    start: Spread
    peak: Spread
    before: Spread
    cached: float


KINDS: dict[str, type[Cell]] = {
    "peaks": Peak,
    "layers": Layer,
    "networks": Engine,
    "scaling": Scale,
    "starts": Start,
}


class Measurements:
    """Finished units by section, kept in one JSON file.

    Args:
        file: Read if it exists; written after every unit.
        machine: What the figures belong to.

    Raises:
        SystemExit: The file holds figures of another machine or version, or other figures.
    """

    def __init__(self, file: Path, machine: dict[str, str] | None = None) -> None:
        self.file = file
        self.machine = machine or {}
        self.cells: dict[str, list[Cell]] = {section: [] for section in KINDS}
        if file.exists():
            self._read(machine)

    def finished(self, section: str, unit: str) -> bool:
        """Whether the unit need not be measured again."""
        return any(cell.unit == unit for cell in self.cells[section])

    def replace(self, section: str, unit: str, cells: Iterable[Cell]) -> None:
        """Take the cells of a unit instead of those it had, and write the file."""
        others = [cell for cell in self.cells[section] if cell.unit != unit]
        self.cells[section] = [*others, *cells]
        self._write()

    def of(self, kind: type[Kind]) -> Iterator[Kind]:
        """The cells of one kind."""
        for cells in self.cells.values():
            yield from (cell for cell in cells if isinstance(cell, kind))

    def _read(self, machine: dict[str, str] | None) -> None:
        document = json.loads(self.file.read_text(encoding="utf-8"))
        found = document.pop("machine")
        if machine is not None and found != machine:
            differing = [key for key in {*found, *machine} if found.get(key) != machine.get(key)]
            raise SystemExit(
                f"{self.file} was measured elsewhere, {', '.join(sorted(differing))} differ: "
                "name another file with --results"
            )
        self.machine = found
        try:
            for section, cells in document.items():
                self.cells[section] = [_cell(KINDS[section], cell) for cell in cells]
        except (KeyError, TypeError):
            problem = f"{self.file} holds other figures than this version measures"
            raise SystemExit(f"{problem}: name another file with --results") from None

    def _write(self) -> None:
        """The old file stays whole until the new one is."""
        document = {section: [asdict(c) for c in cells] for section, cells in self.cells.items()}
        text = json.dumps({"machine": self.machine, **document}, indent=1, ensure_ascii=False)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(".part")
        beside.write_text(text + "\n", encoding="utf-8")
        os.replace(beside, self.file)


def _cell(kind: type[Cell], values: dict[str, Any]) -> Cell:
    spreads = {name for name, hint in get_type_hints(kind).items() if hint is Spread}
    changed: dict[str, Any] = {k: Spread(*v) if k in spreads else v for k, v in values.items()}
    return kind(**changed)
