"""Cells of accuracy.py as the lines of a picture: one per choice of options, over T and energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from settings import Setting, is_quantised_ann
from tables import Cell, known

QUANTISED = "ANN, φT + 1 levels"


@dataclass(frozen=True)
class Range:
    """Mean, least and largest value over seeds."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """The range of these values."""
        return cls(fmean(values), min(values), max(values))


@dataclass(frozen=True)
class Point:
    """A program, or the quantised ANN of its φT, over all seeds.

    Attributes:
        timesteps: Mean steps that an image takes in the program; for a quantised ANN the T of
            the programs that it matches, which is what their images may take.
        loss: Points lost against the ANN.
        accuracy: Per cent.
        energy: µJ per image: of a program the cheaper of unary and graded counting, of a quantised
            ANN its multiply-accumulates; None where a cell does not know it.
    """

    timesteps: float
    loss: Range
    accuracy: Range
    energy: float | None


Lines = dict[str, tuple[Point, ...]]
"""Points by rising T, by the name of what they have in common."""


@dataclass(frozen=True)
class Panel:
    """A network on so many test images.

    Attributes:
        network: Its name.
        images: Test images.
        ann_accuracy: Per cent.
        ann_energy: µJ of the int8 ANN; None where no cell knows it.
        programs: By φ, firing mode, and all that is written besides T.
        quantised: Quantised ANNs by φ; those that match no program are left out.
    """

    network: str
    images: int
    ann_accuracy: float
    ann_energy: float | None
    programs: Lines
    quantised: Lines


Groups = dict[tuple[str, int], list[Cell]]
"""Cells by setting and number of calibration images."""


def panels(cells: Iterable[Cell]) -> tuple[Panel, ...]:
    """A panel per network and number of test images: cells of different numbers do not mix."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.network, cell.images), []).append(cell)
    return tuple(_panel(group) for group in groups.values())


def _panel(cells: Sequence[Cell]) -> Panel:
    groups: Groups = {}
    for cell in cells:
        groups.setdefault((cell.setting, cell.calibration_images), []).append(cell)
    programs: dict[str, list[Point]] = {}
    quantised: dict[str, dict[int, Point]] = {}
    for (text, images), group in groups.items():
        if is_quantised_ann(text):
            continue
        setting = Setting.parse(text)
        point = _point(group, _timesteps(setting, group), ("energy_unary", "energy_graded"))
        programs.setdefault(title(setting, images), []).append(point)
        twin = setting.quantised_ann.text
        if (twin, images) in groups:
            matched = _point(groups[twin, images], setting.timesteps, ("energy_matched_ann",))
            name = _named([QUANTISED, f"φ={setting.phi}", *twin.split(",")[1:]], images)
            quantised.setdefault(name, {})[setting.timesteps] = matched
    return Panel(
        cells[0].network,
        cells[0].images,
        100 * cells[0].ann_accuracy,
        next((c.energy_ann for c in cells if c.energy_ann is not None), None),
        {name: _sorted(points) for name, points in programs.items()},
        {name: _sorted(points.values()) for name, points in quantised.items()},
    )


def _sorted(points: Iterable[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.timesteps))


def title(setting: Setting, calibration_images: int = 0) -> str:
    """What all points of a line have in common; 0 images: the compiler's own choice."""
    options = dict(setting.options)
    mode = "windowed" if options.get("windowed") else str(options.get("fire", "plain"))
    if isinstance(modes := options.get("modes"), tuple):
        mode = " or ".join(modes)
    parts = [f"φ={options['phi']}", mode]
    for name, value in sorted(options.items()):
        if name not in ("timesteps", "phi", "windowed", "fire", "modes"):
            parts.append(name if value is True else f"{name}={value}")
    return _named(parts, calibration_images)


def _named(parts: Sequence[str], calibration_images: int) -> str:
    images = (f"{calibration_images} calibration images",) if calibration_images else ()
    return ", ".join((*parts, *images))


def _point(cells: Sequence[Cell], timesteps: float, ways: Sequence[str]) -> Point:
    return Point(
        timesteps,
        Range.of([cell.loss for cell in cells]),
        Range.of([100 * cell.accuracy for cell in cells]),
        _energy(cells, ways),
    )


def _timesteps(setting: Setting, cells: Sequence[Cell]) -> float:
    """As counted, where images may leave early; as written, where nothing was counted."""
    counted = known([cell.mean_timesteps for cell in cells])
    return fmean(counted) if counted else float(setting.timesteps)


def _energy(cells: Sequence[Cell], ways: Sequence[str]) -> float | None:
    """The cheapest way of counting, mean over seeds."""
    totals = [known([getattr(cell, way) for cell in cells]) for way in ways]
    return min(map(fmean, totals)) if all(totals) else None
