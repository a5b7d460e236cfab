"""The picture of what simulator.py measured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from measured import ADDITIONS, OURS, REFERENCE, WIDENED, Engine, Layer, Measurements, Peak, Scale
from timing import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PEAKS = {ADDITIONS: "additions alone", WIDENED: "… of weights widened one by one"}
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
    """Rate over density, engines side by side, frames per second over T and batch."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (layers, engines, sizes) = pyplot.subplots(
        1, 3, figsize=(16, 5.2), width_ratios=(1, 1.25, 0.9)
    )
    _layers(measurements, layers)
    _engines(measurements, engines)
    _sizes(measurements, sizes)
    for axes in (layers, engines, sizes):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _layers(measurements: Measurements, axes: Axes) -> None:
    """A line per connection and φ; dashed for payloads."""
    colours: dict[str, str] = {}
    for (layer, phi), group in groupby(measurements.of(Layer), lambda c: (c.layer, c.phi)):
        cells = [cell for cell in group if cell.rate.median > 0]
        colour = colours.setdefault(layer, f"C{len(colours)}")
        if "depthwise" in layer or not cells:  # dense over masks: events add next to nothing
            continue
        axes.errorbar(
            [100 * cell.density for cell in cells],
            [cell.rate.median for cell in cells],
            yerr=_errors([cell.rate for cell in cells]),
            color=colour,
            linestyle="-" if phi == 1 else "--",
            marker="o" if phi == 1 else "s",
            markersize=4,
            label=layer if phi == 1 else f"… φ = {phi}",
        )
    for peak in [p for p in measurements.of(Peak) if p.operation in PEAKS]:
        axes.axhline(peak.rate.median, color="black", linewidth=1)
        place = (1, peak.rate.median)
        axes.annotate(PEAKS[peak.operation], place, (0, 3), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks([1, 5, 10, 20, 40], ["1", "5", "10", "20", "40"])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="events per neuron and step, %", ylabel="10⁹ synaptic operations per second")
    axes.set_title("One connection, one core")
    if colours:
        axes.legend(fontsize=8, ncols=2, loc="lower right")


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
    axes.set(xlabel="CPU time ÷ that of spikec's simulator")
    axes.set_title("Whole networks, one core")
    if names:
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=3)


def _sizes(measurements: Measurements, axes: Axes) -> None:
    """Frames per second over T and over the batch."""
    groups = groupby(measurements.of(Scale), lambda c: (c.network, c.axis))
    for number, ((network, axis), group) in enumerate(groups):
        cells = list(group)
        if axis == "threads":
            continue
        axes.errorbar(
            [cell.timesteps if axis == "timesteps" else cell.images for cell in cells],
            [cell.cpu.median for cell in cells],
            yerr=_errors([cell.cpu for cell in cells]),
            color=f"C{number // 3}",
            linestyle="-" if axis == "images" else "--",
            marker="o",
            markersize=4,
            label=f"{TITLES.get(network, network)}: {'batch' if axis == 'images' else 'T'}",
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set(xlabel="images per batch, or time steps", ylabel="images × steps per second")
    axes.set_title("Batch and T, one core")
    if axes.has_data():
        axes.legend(fontsize=8)


def _errors(spreads: Sequence[Spread]) -> list[list[float]]:
    """Quartiles as distances from the medians."""
    return [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
