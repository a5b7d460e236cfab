"""One cell of the comparison of converters, and the Markdown tables that cells are printed as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tables import row, spread

Key = tuple[str, str, int, int, int, int]
"""Network, converter, T, seed, test images and calibration images."""


@dataclass(frozen=True)
class Conversion:
    """What one measurement found.

    Attributes:
        network: Name in NETWORKS.
        converter: Name in CONVERTERS of converters.py.
        timesteps: T.
        seed: Of the choice of calibration images.
        images: Test images.
        calibration_images: Images calibrated with.
        accuracy: Share of correct images after T steps.
        ann_accuracy: The same of the ANN.
        agreement: Share of images on which both predict the same class.
        spikes: Per image, Σ|n| over T steps, without the input.
        events: Per image, the same with 1 for every n other than 0: what is sent, with n as its
            payload. This and all below is None in files of earlier versions.
        convert_seconds: To convert, calibration included; the libraries convert once for all T.
    """

    network: str
    converter: str
    timesteps: int
    seed: int
    images: int
    calibration_images: int
    accuracy: float
    ann_accuracy: float
    agreement: float
    spikes: float
    events: float | None = None
    convert_seconds: float | None = None

    @property
    def loss(self) -> float:
        """Points lost against the ANN."""
        return 100 * (self.ann_accuracy - self.accuracy)

    @property
    def key(self) -> Key:
        """What was measured."""
        counts = self.timesteps, self.seed, self.images, self.calibration_images
        return self.network, self.converter, *counts


Groups = dict[tuple[str, str, int], list[Conversion]]
"""Cells by network, converter and T."""


def grouped(cells: Iterable[Conversion]) -> Groups:
    """Cells that differ in their seed alone together."""
    groups: Groups = {}
    for cell in cells:
        groups.setdefault((cell.network, cell.converter, cell.timesteps), []).append(cell)
    return groups


def loss_table(groups: Groups) -> Iterator[str]:
    """Points lost against the ANN: a row per network and converter, a column per T."""
    timesteps = sorted({steps for _, _, steps in groups})
    yield row("network", "ANN", "converter", *(f"T={steps}" for steps in timesteps))
    yield row(*["---"] * (len(timesteps) + 3))
    for network, converter in dict.fromkeys(group[:2] for group in groups):
        columns = [groups.get((network, converter, steps)) for steps in timesteps]
        ann = next(cells[0].ann_accuracy for cells in columns if cells)
        losses = (spread([c.loss for c in cells]) if cells else "" for cells in columns)
        yield row(network, f"{ann:.2%}", converter, *losses)


def detail_table(groups: Groups) -> Iterator[str]:
    """Everything else: a row per network, T and converter."""
    heads = ("accuracy %", "agreement %", "spikes k", "events k", "convert s")
    yield row("network", "T", "converter", "images", "seeds", *heads)
    yield row(*["---"] * (len(heads) + 5))
    networks = list(dict.fromkeys(network for network, _, _ in groups))
    for group in sorted(groups, key=lambda group: (networks.index(group[0]), group[2])):
        network, converter, steps = group
        cells = groups[group]
        counts = str(cells[0].images), str(len(cells))
        yield row(
            network,
            str(steps),
            converter,
            *counts,
            spread([100 * c.accuracy for c in cells]),
            spread([100 * c.agreement for c in cells]),
            spread([c.spikes / 1e3 for c in cells], 1),
            spread([None if c.events is None else c.events / 1e3 for c in cells], 1),
            spread([c.convert_seconds for c in cells], 1),
        )
