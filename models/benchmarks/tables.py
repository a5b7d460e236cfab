"""One measured cell, and the Markdown tables that cells are printed as."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """What one measurement found; counts are per image.

    Attributes:
        network: Name in NETWORKS.
        setting: As Setting.parse reads it.
        seed: Of the choice of calibration images.
        images: Test images.
        calibration_images: Images calibrated with, 0 for the compiler's own choice.
        accuracy: Share of correct images after T steps.
        ann_accuracy: The same of the ANN.
        agreement: Share of images on which both predict the same class.
        spikes: Σ|n|, without the input.
        synops: Synaptic operations on spikes, one per event and synapse.
        synops_unary: The same, |n| per event and synapse.
        compile_seconds: Of spikec.compile.
        evaluate_seconds: Of spikec.evaluate, the ANN included.
        digest: Of the program.
        mean_timesteps: Steps that an image takes, T if none leaves early. This and all below is
            None in files of earlier versions.
        mean_phi: Mean over the populations that stand for a ReLU or a linear node.
        energy_unary: µJ, 45 nm, int8 weights, |n| additions per event and synapse.
        energy_graded: The same, a multiplication per event and synapse.
        energy_ann: µJ of the dense ANN, int8 weights and activations.
        energy_matched_ann: The same with activations of as many bits as the spike count.
        neurons: Of all populations that fire, copies included.
    """

    network: str
    setting: str
    seed: int
    images: int
    calibration_images: int
    accuracy: float
    ann_accuracy: float
    agreement: float
    spikes: float
    synops: float
    synops_unary: float
    compile_seconds: float
    evaluate_seconds: float
    digest: str
    mean_timesteps: float | None = None
    mean_phi: float | None = None
    energy_unary: float | None = None
    energy_graded: float | None = None
    energy_ann: float | None = None
    energy_matched_ann: float | None = None
    neurons: int | None = None

    @property
    def loss(self) -> float:
        """Points lost against the ANN."""
        return 100 * (self.ann_accuracy - self.accuracy)

    @property
    def key(self) -> tuple[str, str, int, int, int]:
        """What was measured."""
        return self.network, self.setting, self.seed, self.images, self.calibration_images


def known(values: Sequence[float | None]) -> list[float]:
    """The values over seeds; none of them where a seed's is not known."""
    found = [value for value in values if value is not None]
    return found if len(found) == len(values) else []


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Mean ± standard deviation over seeds; nothing where a seed's value is not known."""
    found = known(values)
    if not found:
        return ""
    mean = statistics.fmean(found)
    if len(found) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {statistics.stdev(found):.{digits}f}"


def grouped(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Cells of one network and setting together."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.network, cell.setting), []).append(cell)
    return groups


def loss_table(groups: dict[tuple[str, str], list[Cell]]) -> Iterator[str]:
    """Points lost against the ANN: a row per network, a column per setting."""
    settings = list(dict.fromkeys(setting for _, setting in groups))
    yield row("network", "ANN", *settings)
    yield row(*["---"] * (len(settings) + 2))
    for network in dict.fromkeys(network for network, _ in groups):
        columns = [groups.get((network, setting)) for setting in settings]
        ann = next(cells[0].ann_accuracy for cells in columns if cells)
        losses = (spread([c.loss for c in cells]) if cells else "" for cells in columns)
        yield row(network, f"{ann:.2%}", *losses)


def detail_table(groups: dict[tuple[str, str], list[Cell]]) -> Iterator[str]:
    """Everything else: a row per network and setting."""
    heads = ("accuracy %", "agreement %", "k neurons", "mean T", "mean φ", "spikes k", "synops M")
    heads += ("unary synops M", "unary µJ", "graded µJ", "ANN int8 µJ", "ANN n bits µJ")
    yield row("network", "setting", "images", "seeds", *heads, "compile s", "evaluate s")
    yield row(*["---"] * (len(heads) + 6))
    for (network, setting), cells in groups.items():
        yield row(
            network,
            setting,
            str(cells[0].images),
            str(len(cells)),
            spread([100 * c.accuracy for c in cells]),
            spread([100 * c.agreement for c in cells]),
            spread([None if c.neurons is None else c.neurons / 1e3 for c in cells], 1),
            spread([c.mean_timesteps for c in cells]),
            spread([c.mean_phi for c in cells]),
            spread([c.spikes / 1e3 for c in cells], 1),
            spread([c.synops / 1e6 for c in cells]),
            spread([c.synops_unary / 1e6 for c in cells]),
            spread([c.energy_unary for c in cells]),
            spread([c.energy_graded for c in cells]),
            spread([c.energy_ann for c in cells]),
            spread([c.energy_matched_ann for c in cells]),
            spread([c.compile_seconds for c in cells], 1),
            spread([c.evaluate_seconds for c in cells], 1),
        )


def row(*columns: str) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(columns)} |"
