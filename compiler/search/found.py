"""Found: what a search chose, what it predicted and what was measured, for reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from spikec.compiler.search.choices import Choice


@dataclass(frozen=True)
class Outcome:
    """Loss and energy of one program on the images of a search.

    Attributes:
        loss: Mean divergence from the ANN per image, on the images that the search measured on.
        energy: J per image, on the same.
        agreement: Share of decisions that equal the ANN's, on images that it did not measure on.
    """

    loss: float
    energy: float
    agreement: float


@dataclass(frozen=True)
class Found:
    """What one search found.

    Attributes:
        search: "firing" or "compression".
        sensitivity: "distance" or "divergence".
        prices: Cost table and way of counting behind the energies.
        images: Images that it measured on.
        held_out: Images that agreements were measured on.
        leaving_step: The step after which all was measured, where images leave early; else None.
        before: The program that it started from.
        predicted_loss: By adding what each layer alone changes.
        predicted_energy: J per image, by the same sum.
        after: The program of the chosen assignment, simulated.
        layers: What each layer was given, by name.
    """

    search: str
    sensitivity: str
    prices: str
    images: int
    held_out: int
    leaving_step: int | None
    before: Outcome
    predicted_loss: float
    predicted_energy: float
    after: Outcome
    layers: Mapping[str, Choice]

    def lines(self) -> tuple[str, ...]:
        """What a user should read, a line each."""
        before, after = self.before, self.after
        early = f" up to step {self.leaving_step}, where most leave" if self.leaving_step else ""
        saved = 1 - after.energy / before.energy if before.energy else 0.0
        return (
            f"energy {_microjoules(before.energy)} → {_microjoules(after.energy)} per image"
            f"{early} "
            f"({saved:.1%} saved; predicted {_microjoules(self.predicted_energy)}), {self.prices}",
            f"{self.sensitivity} from the ANN {before.loss:.4f} → {after.loss:.4f} "
            f"(predicted {self.predicted_loss:.4f}) on {self.images} images",
            f"agreement with the ANN {before.agreement:.2%} → {after.agreement:.2%} "
            f"on {self.held_out} other images",
        )


def found_json(found: Sequence[Found]) -> str:
    """All searches of a compilation as JSON text."""
    return json.dumps([_plain(each) for each in found], sort_keys=True)


def _plain(found: Found) -> dict[str, object]:
    plain: dict[str, object] = asdict(found)
    plain["lines"] = list(found.lines())
    plain["layers"] = {
        name: {"phi": c.phi, "mode": str(c.mode), "compression": c.compression}
        for name, c in found.layers.items()
    }
    return plain


def _microjoules(energy: float) -> str:
    return f"{energy * 1e6:.4g} µJ"
