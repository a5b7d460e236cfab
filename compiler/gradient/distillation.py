"""Distillation: the rates of the program learn from the network that it was made of.

The network itself is the teacher and needs no labels. What is lowered on the calibration images is

    KL(teacher ‖ student) of the class scores, where they are ones
    + ‖y − y_student‖²/‖y‖² at the output
    + sixty times the mean of ‖a − a_student‖²/‖a‖² over all populations

by Adam with a cosine schedule (Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2017). The
parameters are averaged on the way (Polyak and Juditsky, 1992), for at few levels every step throws
some activations to another level. One image in eight is held back and judges: the last average is
kept if it lowers the same sum there, else the old parameters.
Source: paper 1 (ICML 2021), section 4.4, for weights by straight-through gradients; the whole
network at once, its steps, the distance and the judge are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from spikec.compiler.arrays import Float32
from spikec.compiler.gradient.adam import Adam
from spikec.compiler.gradient.batches import UNCHANGED, Variation, batches
from spikec.compiler.gradient.crew import working
from spikec.compiler.gradient.parameters import Parameters
from spikec.compiler.gradient.spiking import rounded
from spikec.compiler.gradient.student import Student

if TYPE_CHECKING:
    from torch import Tensor

_HELD_BACK = 8
"""One in so many images judges."""
_FEATURES = 60.0
"""Weight of the activations' error: they are many, and tell more of few images than the output."""
_COPIES = 3
"""Moved and mirrored copies of the held-back images that judge beside them; none is mixed, for a
program reads whole images."""
_MEMORY = 0.98
"""What an average keeps of itself at each step."""
_WARM_UP = 20
"""Steps until they have their full size."""
_STILL = 0.5
"""Part of the steps behind which they become smaller."""
_URGENCY, _PACES = 150.0, (1.0, 25.0)
"""Steps grow with the activations' relative squared error at the start, within limits: where it is
small, small ones serve unseen images best; where many activations miss their level, parameters
have to go further. Thresholds slow down with the square: where little is wrong, gradients that go
straight through rounding, and mixed images, which clip less, lead them astray."""


@dataclass(frozen=True)
class Lesson:
    """How to learn.

    Attributes:
        steps: Of the optimiser.
        batch: Images per step.
        part: Images that one thread takes at once.
        threads: Most threads at work.
        scores: Whether the output holds class scores.
        variation: How images may be changed.
        seed: Of every random choice.
    """

    steps: int
    batch: int
    scores: bool
    part: int = 8
    threads: int = 1
    variation: Variation = UNCHANGED
    seed: int = 0


@dataclass(frozen=True)
class Learnt:
    """The result.

    Attributes:
        parameters: Those learnt, or those of the start if they are no better.
        before: Loss on the held-back images with the parameters of the start.
        after: The same with those kept; equal to ``before`` if nothing was gained.
    """

    parameters: Parameters
    before: float
    after: float


def distilled(
    student: Student,
    images: Float32,
    lesson: Lesson,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Learnt:
    """Parameters under which the rates are closer to the network on images held back.

    Args:
        student: With its parameters.
        images: Calibration images in random order, float32 (images, …).
        lesson: How.
        progress: Told of steps done and in all.
    """
    import torch

    every = torch.from_numpy(images)
    held = max(1, len(images) // _HELD_BACK)
    judges, pupils = every[:held], every[held:] if len(images) > 1 else every
    random = torch.Generator().manual_seed(lesson.seed)
    varied = batches(pupils, lesson.batch, lesson.variation, random)
    moved = replace(lesson.variation, mix=False)
    copies = islice(batches(judges, held, moved, random), _COPIES if moved != UNCHANGED else 0)
    judges = torch.cat([judges, *copies])
    with working(lesson.threads) as crew:
        school = _School(student, lesson, crew)
        before, error = school.judged(student.parameters, judges)
        pace = _pace(error)
        for step in range(lesson.steps):
            progress(step, lesson.steps)
            size = _slower(step / lesson.steps, step)
            school.learn(next(varied), {kind: size * most for kind, most in pace.items()})
        after, _ = school.judged(school.average, judges)
    progress(lesson.steps, lesson.steps)
    if after < before:
        return Learnt(school.average, before, after)
    return Learnt(student.parameters, before, before)


def _pace(error: float) -> dict[str, float]:
    """How far parameters of each kind move, by the activations' error at the start."""
    pace = min(max(_URGENCY * error, _PACES[0]), _PACES[1])
    return {"weight": pace, "bias": pace, "threshold": pace * pace / _PACES[1]}


def _slower(done: float, step: int) -> float:
    """A rise, a plain, and half a cosine down to nothing."""
    down = max(0.0, done - _STILL) / (1 - _STILL)
    return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * down))


class _School:
    """Parameters that learn, and their average."""

    def __init__(self, student: Student, lesson: Lesson, crew: Executor) -> None:
        self._student, self._lesson, self._crew = student, lesson, crew
        self._now = {key: v.clone().requires_grad_() for key, v in student.parameters.items()}
        self._optimiser = Adam(self._now)
        self.average = {key: v.clone() for key, v in student.parameters.items()}

    def learn(self, batch: Tensor, pace: Mapping[str, float]) -> None:
        """One step on a batch, whose parts are summed in order, whoever computes them."""
        parts = batch.split(self._lesson.part)
        found = list(self._crew.map(self._gradients, parts))
        shares = [len(part) / len(batch) for part in parts]
        self._optimiser.step([_weighted(each, shares) for each in zip(*found, strict=True)], pace)
        for key, value in self._now.items():
            self.average[key].lerp_(value.detach(), 1 - _MEMORY)

    def judged(self, parameters: Parameters, images: Tensor) -> tuple[float, float]:
        """Mean loss, and mean error of the activations."""
        import torch

        def look(part: Tensor) -> Tensor:
            with torch.no_grad():
                return torch.stack(self._losses(parameters, part)) * len(part)

        found = list(self._crew.map(look, images.split(self._lesson.part)))
        loss, error = (torch.stack(found).sum(0) / len(images)).tolist()
        return loss, error

    def _gradients(self, part: Tensor) -> tuple[Tensor, ...]:
        import torch

        loss, _ = self._losses(self._now, part)
        found: tuple[Tensor, ...] = torch.autograd.grad(loss, list(self._now.values()))
        return found

    def _losses(self, parameters: Parameters, part: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the error of the activations in it."""
        import torch

        student, output = self._student, self._student.output
        images = part.contiguous(memory_format=torch.channels_last) if part.dim() == 4 else part
        with torch.no_grad():
            taught = student.exact(student.parameters, images)
        learnt = rounded(student, parameters, images)
        features = [_error(taught[name], learnt[name]) for name in student.populations]
        distance = _distance(taught[output], learnt[output], scores=self._lesson.scores)
        error = torch.stack(features).mean()
        return distance + _FEATURES * error, error


def _weighted(terms: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The sum of terms times their shares, in order."""
    first, *others = (term * share for term, share in zip(terms, shares, strict=True))
    return sum(others, start=first)


def _distance(taught: Tensor, learnt: Tensor, *, scores: bool) -> Tensor:
    error = _error(taught, learnt)
    if not scores:
        return error
    from torch.nn.functional import kl_div, log_softmax

    axes = taught.shape[1]
    old, new = (
        log_softmax(x.flatten(2).movedim(1, -1) if x.dim() > 2 else x, -1) for x in (taught, learnt)
    )
    return error + kl_div(
        new.reshape(-1, axes), old.reshape(-1, axes), log_target=True, reduction="batchmean"
    )


def _error(taught: Tensor, learnt: Tensor) -> Tensor:
    """Squared error relative to the teacher's mean square."""
    return (taught - learnt).square().mean() / taught.square().mean().clamp(min=1e-30)
