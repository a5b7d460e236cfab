"""calibrate-exits: per-step thresholds by which images leave early at a stated loss of accuracy.

The calibration images are split in two at random. On one half candidates are found, from tight to
loose, the loosest losing no more than the target there. The other half judges: from the tightest
candidate on, the next one is accepted as long as what it loses stays within the target, and the
first that fails ends the walk. What is lost is the share of the images, or, where a proof is asked
for, its upper 95 % bound (one-sided, Clopper and Pearson): a walk in a fixed order keeps the 95 %
whatever the number of candidates (fixed-sequence testing: Angelopoulos et al., "Learn then test",
2021). With n judged images the bound is never below 3/n; a proof that takes more images is refused.

An image is lost if its class is right after T steps and wrong where it leaves. What is right say
the labels if there are any, else the ANN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikec.compiler.ann import Ann
from spikec.compiler.arrays import Array, Float32, Int64
from spikec.compiler.calibration import Calibration
from spikec.compiler.encoding import input_integers
from spikec.compiler.errors import CalibrationError, OptionError, Where
from spikec.compiler.exit_ladder import Evidence, Thresholds, formula_ladder, ladder
from spikec.compiler.exit_rule import NEVER, ExitRule, ExitScore, number_of_scores
from spikec.compiler.ir import Graph
from spikec.compiler.options import FORMULA, CompileOptions
from spikec.compiler.populations import AdaFire
from spikec.compiler.program import Program
from spikec.compiler.report import Compiled
from spikec.compiler.simulation import Simulate, potentials
from spikec.compiler.tail import read_out_node

LEAST_IMAGES = 20
"""Calibration images without which nothing is chosen: one image lost of ten is 10 points."""
_LEVEL = 0.95
_BATCH = 64
"""Images that run at a time."""

Progress = Callable[[str, int, int], None]
"""Told of (stage, images done, images in all)."""


@dataclass(frozen=True)
class Judgement:
    """What the images that were not chosen on say of a candidate.

    Attributes:
        thresholds: The candidate.
        images: Number of images that judge.
        lost: How many of them it loses.
        histogram: Images leaving after steps 1…T.
    """

    thresholds: Thresholds
    images: int
    lost: int
    histogram: tuple[int, ...]

    @property
    def loss(self) -> float:
        """Share of the images that it loses."""
        return self.lost / self.images

    @property
    def bound(self) -> float:
        """Upper 95 % bound of that share."""
        return upper_bound(self.lost, self.images)

    @property
    def mean_timesteps(self) -> float:
        """Mean step after which images leave."""
        return sum(t * n for t, n in enumerate(self.histogram, 1)) / self.images


class ExitCalibration:
    """Adds an exit rule to a program where the options ask for one.

    Args:
        graph: The network.
        images: The calibration images, in random order.
        labels: Class of each, or None.
        options: Say the loss, the rule and the seed.

    Raises:
        OptionError: The network has no class axis.
        CalibrationError: Too few images, or labels that do not fit.
    """

    def __init__(
        self, graph: Graph, images: Float32, labels: Int64 | None, options: CompileOptions
    ) -> None:
        self._graph, self._images, self._labels = graph, images, labels
        self._options = options
        if options.exit_loss is None:
            return
        node = read_out_node(graph)
        classes = number_of_scores(node.known_shape())
        if classes is None:
            raise OptionError(
                f"exit_loss is given, and the output has shape {node.known_shape()}: images leave "
                "early where one class is clear, which needs a score for each of two or more",
                node.where,
                "leave exit_loss out",
            )
        _check_enough(len(images), graph.input.where, options.exit_loss, options.exit_proven)
        _check_labels(labels, len(images), classes)

    def applied(
        self,
        compiled: Compiled,
        simulate: Simulate,
        ann: Ann,
        progress: Progress = lambda stage, done, total: None,
    ) -> Compiled:
        """The same with an exit rule, what is known of it, and warnings; or as it was."""
        loss = self._options.exit_loss
        if loss is None:
            return compiled
        program = compiled.program
        evidence = self._evidence(program, simulate, ann, progress)
        judgement = self._judged(evidence, loss / 100)
        warnings = compiled.warnings + _warnings(program, judgement, loss)
        provenance = dict(program.provenance) | {
            "exits": json.dumps(self._facts(judgement, loss)),
            "warnings": json.dumps(warnings),
        }
        rule = ExitRule(self._score, judgement.thresholds)
        program = replace(program, exit_rule=rule, provenance=provenance)
        return replace(compiled, program=program, warnings=warnings)

    @property
    def _score(self) -> ExitScore:
        name = self._options.exit_rule
        return ExitScore.ENTROPY if name == FORMULA else ExitScore(name)

    def _evidence(
        self, program: Program, simulate: Simulate, ann: Ann, progress: Progress
    ) -> Evidence:
        told = potentials(simulate, program, self._inputs(program, progress))
        classes = self._labels
        if classes is None:
            name = read_out_node(self._graph).name
            outputs = Calibration(self._images, ann).activation(self._graph, name)
            classes = outputs.reshape(len(outputs), -1).argmax(axis=1)
        scale = float(program.readout.scale.item())
        return Evidence.of(self._score, told, scale, classes)

    def _inputs(self, program: Program, progress: Progress) -> Iterator[Array]:
        for at in range(0, len(self._images), _BATCH):
            progress("calibrate-exits", at, len(self._images))
            yield input_integers(program.input, self._images[at : at + _BATCH])

    def _judged(self, evidence: Evidence, target: float) -> Judgement:
        """The loosest candidate that both halves of the images allow."""
        half = evidence.images // 2
        order = np.random.default_rng(self._options.seed).permutation(evidence.images)
        chosen_on, judge = evidence.part(order[:half]), evidence.part(order[half:])
        if self._options.exit_rule == FORMULA:
            candidates = formula_ladder(chosen_on, target)
        else:
            candidates = ladder(chosen_on, target)
        proven = self._options.exit_proven
        stay = (NEVER,) * len(evidence.scores)
        accepted = _judgement(stay, judge)
        for candidate in candidates:
            judgement = _judgement(candidate, judge)
            if (judgement.bound if proven else judgement.loss) > target:
                break
            accepted = judgement
        return accepted

    def _facts(self, judgement: Judgement, loss: float) -> dict[str, object]:
        return {
            "rule": self._options.exit_rule,
            "loss_allowed": loss,
            "right_by": "the ANN" if self._labels is None else "labels",
            "judged_images": judgement.images,
            "lost_images": judgement.lost,
            "loss_bound_95": round(100 * judgement.bound, 3),
            "proven": judgement.bound <= loss / 100,
            "mean_timesteps": round(judgement.mean_timesteps, 3),
            "histogram": judgement.histogram,
        }


def upper_bound(lost: int, judged: int) -> float:
    """Upper one-sided 95 % bound of a share of which ``lost`` of ``judged`` were seen.

    The share p at which so few or fewer are seen in 5 % of all cases. Source: Clopper and Pearson,
    Biometrika 26, 1934.
    """
    if lost >= judged:
        return 1.0
    low, high = lost / judged, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        rare = _at_most(lost, judged, middle) < 1 - _LEVEL
        low, high = (low, middle) if rare else (middle, high)
    return high


def _at_most(lost: int, judged: int, share: float) -> float:
    """P(X ≤ lost) of a binomial X."""
    if share >= 1:
        return 0.0
    k = np.arange(lost + 1)
    ways = math.lgamma(judged + 1) - np.array(
        [math.lgamma(i + 1) + math.lgamma(judged - i + 1) for i in k]
    )
    share = max(share, 1e-300)
    terms = ways + k * math.log(share) + (judged - k) * math.log1p(-share)
    return float(np.exp(terms).sum())


def _judgement(thresholds: Thresholds, judge: Evidence) -> Judgement:
    exits = judge.exits(thresholds)
    counts = np.bincount(exits, minlength=len(judge.right) + 1)[1:]
    return Judgement(thresholds, judge.images, judge.lost(exits), tuple(counts.tolist()))


def _warnings(program: Program, judgement: Judgement, loss: float) -> tuple[str, ...]:
    found = []
    if judgement.mean_timesteps == program.timesteps:
        found.append(
            f"no image may leave before step {program.timesteps}: no earlier step keeps the loss "
            f"within {loss:g} points on {judgement.images} judged images"
        )
    if windowed := [p.name for p in program.populations if isinstance(p, AdaFire) and p.windowed]:
        found.append(
            f"early exits save little: {len(windowed)} populations are windowed and hand their "
            "spikes on only after all T steps"
        )
    return tuple(found)


def _enough(loss: float) -> str:
    """How many images can prove a loss, in words."""
    share = min(loss / 100, 1 - 1e-9)
    judged = math.ceil(math.log(1 - _LEVEL) / math.log1p(-share))
    return f"{max(LEAST_IMAGES, 2 * judged)} calibration images or more"


def _check_enough(images: int, where: Where, loss: float, proven: bool) -> None:
    if images < LEAST_IMAGES:
        raise CalibrationError(
            f"{images} calibration images are too few to choose exits on one half and "
            f"judge them on the other: {LEAST_IMAGES} are the least",
            where,
            f"give more, best some hundreds; to prove the loss, {_enough(loss)}",
        )
    judged = images - images // 2
    if proven and upper_bound(0, judged) > loss / 100:
        raise CalibrationError(
            f"{images} calibration images cannot prove a loss of {loss:g} points: if none of "
            f"{judged} is lost, it may still be {100 * upper_bound(0, judged):.2f} (95 % bound)",
            where,
            f"give {_enough(loss)}, allow a larger loss, or ask for no proof",
        )


def _check_labels(labels: Sequence[int] | Array | None, images: int, classes: int) -> None:
    if labels is None:
        return
    if len(labels) != images:
        raise CalibrationError(f"there are {len(labels)} labels for {images} calibration images")
    low, high = int(np.min(labels)), int(np.max(labels))
    if low < 0 or high >= classes:
        raise CalibrationError(
            f"labels run from {low} to {high}, the classes of the network from 0 to {classes - 1}"
        )
