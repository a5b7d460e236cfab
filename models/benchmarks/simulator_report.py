"""The results of simulator.py as Markdown tables and one plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from measured import Engine, Layer, Measurements, Peak, Scale, Start
from simulator_plot import TITLES, plot
from tables import row
from timing import Spread

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def write_report(measurements: Measurements, file: Path) -> None:
    """Put the tables between the two marks of the file, and the plot beside it."""
    lines = "\n".join(report(measurements, file.with_suffix(".png").name))
    text = file.read_text(encoding="utf-8") if file.exists() else f"{BEGIN}\n{END}\n"
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{file} has no lines {BEGIN} and {END}, between which tables are written")
    file.parent.mkdir(parents=True, exist_ok=True)
    plot(measurements, file.with_suffix(".png"))
    file.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}", encoding="utf-8")


def report(measurements: Measurements, picture: str) -> Iterator[str]:
    """All lines."""
    found = {key: value for key, value in measurements.machine.items() if value}
    yield "Measured on: " + "; ".join(f"{key} {value}" for key, value in found.items()) + "."
    for title, table in TABLES.items():
        lines = list(table(measurements))
        if len(lines) > 2:
            yield from ("", f"### {title}", "", *lines)
    yield from ("", f"![Speed over density, beside other engines, and over batch size]({picture})")


def peak_table(measurements: Measurements) -> Iterator[str]:
    """What one core can do."""
    yield row("operation", "10⁹ per second and core")
    yield row("---", "---")
    for peak in measurements.of(Peak):
        yield row(peak.operation, spread(peak.rate))


def layer_table(measurements: Measurements) -> Iterator[str]:
    """One connection at a time."""
    heads = ("density %", "M synops", "µs", "µs silent", "G synops/s", "of additions alone")
    yield row("connection", "φ", *heads)
    yield row(*["---"] * (len(heads) + 2))
    for cell in measurements.of(Layer):
        rated = cell.rate.median > 0
        yield row(
            cell.layer,
            str(cell.phi),
            f"{100 * cell.density:.0f}",
            f"{cell.events / 1e6:.3g}",
            spread(cell.whole),
            spread(cell.silent),
            spread(cell.rate) if rated else "–",
            f"{cell.share.median:.0%}" if rated else "–",
        )


def network_table(measurements: Measurements) -> Iterator[str]:
    """Whole networks, every engine."""
    yield row("network", "T, φ, batch", "density", "M synops", "engine", "frames/s", "time ÷ ours")
    yield row(*["---"] * 7)
    for _, group in groupby(measurements.of(Engine), lambda cell: cell.unit):
        for number, cell in enumerate(group):
            subject = (
                TITLES.get(cell.network, cell.network),
                f"{cell.timesteps}, {cell.phi}, {cell.images}",
                f"{100 * cell.density:.1f} %",
                f"{cell.synops / 1e6:.3g}",
            )
            first = subject if number == 0 else ("", "", "", "")
            mark = " ≈" if cell.difference > 0 else ""
            yield row(*first, cell.engine + mark, spread(cell.frames), spread(cell.ratio))


def scale_table(measurements: Measurements) -> Iterator[str]:
    """Sizes."""
    heads = ("M synops", "frames/s of CPU time", "frames/s of wall time")
    yield row("network", "T", "images", "threads", *heads)
    yield row(*["---"] * 7)
    for cell in measurements.of(Scale):
        sizes = (str(cell.timesteps), str(cell.images), str(cell.threads))
        figures = (f"{cell.synops / 1e6:.3g}", spread(cell.cpu), spread(cell.wall))
        yield row(TITLES.get(cell.network, cell.network), *sizes, *figures)


def start_table(measurements: Measurements) -> Iterator[str]:
    """New processes."""
    runs = ("first run s", "second run s", "difference s")
    heads = ("import s", "load s", *runs, "peak MB", "MB before")
    yield row("network, batch", "machine code", *heads, "MB cached")
    yield row(*["---"] * (len(heads) + 3))
    for cell in measurements.of(Start):
        times = (cell.imports, cell.load, cell.first, cell.later, cell.start)
        figures = (*times, cell.peak, cell.before)
        name, _, batch = cell.network.partition(", ")
        yield row(
            f"{TITLES.get(name, name)}, {batch}",
            "cached" if cell.cache == "filled" else "made anew",
            *map(spread, figures),
            f"{cell.cached:.2f}",
        )


TABLES: dict[str, Callable[[Measurements], Iterator[str]]] = {
    "What one core can do": peak_table,
    "One connection": layer_table,
    "Whole networks, one thread": network_table,
    "Steps, images, threads": scale_table,
    "A new process": start_table,
}


def spread(figure: Spread) -> str:
    """Median and quartiles, three digits."""
    if f"{figure.low:.3g}" == f"{figure.high:.3g}":
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.low)}–{number(figure.high)})"


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
