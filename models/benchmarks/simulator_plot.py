"""The picture of what simulator.py measured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from measured import OURS, REFERENCE, Engine, Layer, Measurements, Scale
from timing import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATIOS = (0.5, 1, 2, 5, 10, 20, 50)
TITLES = {
    "resnet20 trained": "ResNet-20, trained, CIFAR-10",
    "resnet20 trained phi=4": "ResNet-20, trained, CIFAR-10, φ = 4",
    "mobilenet2 trained": "MobileNet-v2, trained, 224×224",
    "vgg16 5%": "VGG-16, random, 5 %",
    "vgg16 10%": "VGG-16, random, 10 %",
    "resnet20 5%": "ResNet-20, random, 5 %",
    "resnet20 10%": "ResNet-20, random, 10 %",
}


def plot(measurements: Measurements, file: Path) -> None:
    """Share of the peak over density, engines side by side, frames per second over the batch."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(13, 11), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.25), width_ratios=(1.3, 1))
    layers, sizes, engines = (
        figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :])
    )
    _layers(measurements, layers)
    _sizes(measurements, sizes)
    _engines(measurements, engines)
    for axes in (layers, engines, sizes):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    figure.savefig(file, dpi=100)
    pyplot.close(figure)


def _layers(measurements: Measurements, axes: Axes) -> None:
    """A line per connection and φ; dashed for payloads. Shares are taken turn by turn."""
    colours: dict[str, str] = {}
    for (layer, phi), group in groupby(measurements.of(Layer), lambda c: (c.layer, c.phi)):
        cells = [cell for cell in group if cell.rate.median > 0]
        if "depthwise" in layer or not cells:  # dense over masks: events add next to nothing
            continue
        axes.errorbar(
            [100 * cell.density for cell in cells],
            [100 * cell.share.median for cell in cells],
            yerr=_errors([_percent(cell.share) for cell in cells]),
            color=colours.setdefault(layer, f"C{len(colours)}"),
            linestyle="-" if phi == 1 else "--",
            elinewidth=0.8,
            marker="o" if phi == 1 else "s",
            markersize=4,
            label=f"{layer}, φ = {phi}",
        )
    axes.set_xscale("log")
    axes.set_xticks([1, 5, 10, 20, 40], ["1", "5", "10", "20", "40"])
    axes.set_xticks([], minor=True)
    axes.set_xlim(0.75, 50)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="events per neuron and step, %", ylabel="% of additions alone")
    axes.set_title("One connection, one core: synaptic operations")
    if colours:
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _engines(measurements: Measurements, axes: Axes) -> None:
    """A group of bars per network: CPU time over ours."""
    cells = [c for c in measurements.of(Engine) if c.engine not in (OURS, REFERENCE)]
    names = list(dict.fromkeys(cell.engine for cell in cells))
    networks = list(dict.fromkeys(cell.network for cell in cells))
    height = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        chosen = [cell for cell in cells if cell.engine == name]
        places = [
            networks.index(c.network) + (number - (len(names) - 1) / 2) * height for c in chosen
        ]
        ratios = [cell.ratio for cell in chosen]
        medians = [ratio.median for ratio in ratios]
        axes.barh(places, medians, height, xerr=_errors(ratios), label=name, error_kw={"lw": 0.8})
        for place, ratio in zip(places, ratios, strict=True):
            axes.annotate(f" {ratio.median:.3g}", (ratio.high, place), va="center", fontsize=7)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(networks)), [TITLES.get(n, n) for n in networks])
    axes.invert_yaxis()
    axes.set_xticks(RATIOS, [f"{ratio:g}" for ratio in RATIOS])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="CPU time ÷ that of spikec's simulator")
    axes.set_title("Whole networks, one core")
    if names:
        axes.legend(
            fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.1), ncols=5, frameon=False
        )


def _sizes(measurements: Measurements, axes: Axes) -> None:
    """Frames per second over the batch."""
    cells = [cell for cell in measurements.of(Scale) if cell.axis == "images"]
    for network, group in groupby(cells, lambda cell: cell.network):
        line = list(group)
        axes.errorbar(
            [cell.images for cell in line],
            [cell.cpu.median for cell in line],
            yerr=_errors([cell.cpu for cell in line]),
            elinewidth=0.8,
            marker="o",
            markersize=4,
            label=TITLES.get(network, network),
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="images per batch", ylabel="images × steps per second")
    axes.set_title("Batch size, one core")
    if cells:
        axes.legend(fontsize=8, loc="lower left", frameon=False)


def _percent(share: Spread) -> Spread:
    return Spread(*(100 * value for value in share))


def _errors(spreads: Sequence[Spread]) -> list[list[float]]:
    """Quartiles as distances from the medians."""
    return [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
