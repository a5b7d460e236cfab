"""Draws what accuracy.py measured: points lost over T, and accuracy over energy.

A row of two panels per network and number of test images. Bars reach from the least to the largest
value over calibration seeds. T is the mean number of steps that an image takes. The energy of a
program is the cheaper of the unary and the graded total at 45 nm with 8-bit weights, an estimate
that leaves out memory and transport; that of an ANN counts its multiply-accumulates by the same
table. A quantised ANN (accuracy.py --quantised-ann) stands at the T of the programs whose φT + 1
levels it has, a line for each φ. Needs matplotlib, see requirements-simulator.txt.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accuracy_lines import Panel, Range, panels
from records import finished
from tables import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXAMPLES = """\
examples:
  python models/benchmarks/accuracy_plot.py build/accuracy.jsonl -o docs/accuracy.png
  python models/benchmarks/accuracy_plot.py build/accuracy.jsonl --network resnet20_cifar10
"""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito, Color Universal Design, 2008; told apart with any colour vision."""
MARKERS = "osD^v"
MARKERS_OF_ANNS = "x+12"
DASHES = ("-", "--", "-.")
LEGEND_COLUMNS = 3

Styles = dict[str, dict[str, str | float]]
"""How a line looks, in all panels, by its name."""


def plot(rows: Sequence[Panel], file: Path) -> None:
    """Two panels per row, one legend below all."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    styles = dict(_styles(rows))
    height = 3.1 * len(rows) + 0.2 * (2 + len(styles) / LEGEND_COLUMNS)
    figure, grid = pyplot.subplots(
        len(rows), 2, figsize=(9, height), layout="constrained", squeeze=False
    )
    for panel, (over_time, over_energy) in zip(rows, grid, strict=True):
        _over_time(panel, styles, over_time)
        _over_energy(panel, styles, over_energy)
        for axes in (over_time, over_energy):
            axes.set_title(f"{panel.network}, {panel.images:,} images", fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.25)
            axes.set_axisbelow(True)
    _legend(figure, grid.flat)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def _styles(rows: Sequence[Panel]) -> Iterator[tuple[str, dict[str, str | float]]]:
    common: dict[str, str | float] = {"markersize": 5, "linewidth": 1.3, "elinewidth": 0.8}
    for number, name in enumerate(dict.fromkeys(name for row in rows for name in row.programs)):
        dash = DASHES[number // len(COLOURS) % len(DASHES)]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        yield name, common | {"color": colour, "marker": marker, "linestyle": dash}
    for number, name in enumerate(dict.fromkeys(name for row in rows for name in row.quantised)):
        marker = MARKERS_OF_ANNS[number % len(MARKERS_OF_ANNS)]
        yield name, common | {"color": "0.4", "marker": marker, "linestyle": ":"}


def _over_time(panel: Panel, styles: Styles, axes: Axes) -> None:
    axes.axhline(0, color="black", linewidth=1, label="ANN, float32")
    for name, points in (panel.programs | panel.quantised).items():
        bars = _bars([point.loss for point in points])
        axes.errorbar([point.timesteps for point in points], **bars, **styles[name], label=name)
    ticks = sorted({p.timesteps for points in panel.programs.values() for p in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(_apart(ticks), [f"{steps:.3g}" for steps in _apart(ticks)])
    axes.set(xlabel="time steps T", ylabel="points lost against the ANN")


def _over_energy(panel: Panel, styles: Styles, axes: Axes) -> None:
    """Points whose energy is not known are left out."""
    axes.axhline(panel.ann_accuracy, color="black", linewidth=1)
    if panel.ann_energy is not None:
        style = {"color": "black", "marker": "*", "markersize": 10, "linestyle": ""}
        axes.plot([panel.ann_energy], [panel.ann_accuracy], **style, label="ANN, energy of int8")
    for name, points in (panel.programs | panel.quantised).items():
        known = [(point.energy, point.accuracy) for point in points if point.energy is not None]
        bars = _bars([accuracy for _, accuracy in known])
        axes.errorbar([energy for energy, _ in known], **bars, **styles[name], label=name)
    axes.set_xscale("log")
    ticks = round_values(*axes.get_xlim())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="µJ per image, estimate: 45 nm, int8", ylabel="accuracy, %")


def _apart(ticks: Sequence[float]) -> list[float]:
    """Those ticks whose labels do not run into each other on a logarithmic axis."""
    chosen: list[float] = []
    for tick in ticks:
        if not chosen or tick > 1.3 * chosen[-1]:
            chosen.append(tick)
    return chosen


def round_values(low: float, high: float) -> list[float]:
    """Between the ends of a logarithmic axis, few enough to be read."""
    steps = (1, 2, 3, 5) if high < 20 * low else (1, 2, 5) if high < 200 * low else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (step * 10.0**decade for decade in decades for step in steps)
    return [value for value in values if low <= value <= high]


def _bars(ranges: Sequence[Range]) -> dict[str, list[float] | list[list[float]] | None]:
    """Means, and the distances to the least and the largest value."""
    low, high = [r.mean - r.low for r in ranges], [r.high - r.mean for r in ranges]
    return {"y": [r.mean for r in ranges], "yerr": [low, high] if any(low + high) else None}


def _legend(figure: Figure, grid: Sequence[Axes]) -> None:
    """Every name once."""
    entries = {}
    for axes in grid:
        lines, names = axes.get_legend_handles_labels()
        entries |= dict(zip(names, lines, strict=True))
    place = {"loc": "outside lower center", "ncols": LEGEND_COLUMNS}
    figure.legend(entries.values(), entries, **place, fontsize=8, frameon=False)


def main() -> None:
    """Draw a file of cells."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("results", type=Path, help="file of cells that accuracy.py has written")
    add("-o", "--output", type=Path, default=Path("accuracy.png"), help="PNG, SVG or PDF")
    add("--network", nargs="+", metavar="NAME", help="these alone")
    options = parser.parse_args()
    cells = [
        cell
        for cell in finished(options.results, Cell).values()
        if options.network is None or cell.network in options.network
    ]
    if not cells:
        raise SystemExit(f"{options.results} has no finished cell of these networks")
    plot(panels(cells), options.output)


if __name__ == "__main__":
    main()
