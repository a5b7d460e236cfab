"""Distillation: the rates of the program learn from the network that it was made of.

The network itself is the teacher and needs no labels. What is lowered on the calibration images is

    KL(teacher ‖ student) of the class scores, where they are ones
    + ‖y − y_student‖²/‖y‖² at the output
    + a tenth of the mean of ‖a − a_student‖²/‖a‖² over all populations

by Adam with a cosine schedule (Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2017). Steps
are relative to the size of what they change, so no scale of the input matters. One image in eight
is held back and judges; the best parameters are kept, the old ones if none are better.
Source: paper 1 (ICML 2021), section 4.4, for weights by straight-through gradients; the whole
network at once, the distance and the judge are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikec.compiler.arrays import Float32
from spikec.compiler.gradient.parameters import Parameters
from spikec.compiler.gradient.student import Student

if TYPE_CHECKING:
    from torch import Generator, Tensor

_HELD_BACK = 8
"""One in so many images judges."""
_FEATURES = 0.1
"""Weight of the activations' error."""
_JUDGEMENTS = 20
"""How often the held-back images are asked."""
_BETAS = (0.9, 0.99)
_RATES = {"weight": 2e-4, "bias": 2e-4, "threshold": 2e-4}
"""First step of each kind, relative to the root mean square of a channel's weights or a layer's
biases; of thresholds the logarithm moves. Five times as large steps leave unseen images worse."""


@dataclass(frozen=True)
class Lesson:
    """How to learn.

    Attributes:
        steps: Of the optimiser.
        batch: Images per step.
        scores: Whether the output holds class scores.
        shift: Images are moved by up to so many pixels; 0 leaves them where they are.
        flip: Whether images are mirrored left to right.
        pace: Factor on every step.
        seed: Of every random choice.
    """

    steps: int
    batch: int
    scores: bool
    shift: int = 0
    flip: bool = False
    pace: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Learnt:
    """The result.

    Attributes:
        parameters: The best ones, or those of the start.
        before: Loss on the held-back images with the parameters of the start.
        after: The same with the best ones; equal to ``before`` if none were better.
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
    now = {key: value.clone().requires_grad_() for key, value in student.parameters.items()}
    optimiser = _Adam(now)
    best, before = student.parameters, judged(student, student.parameters, judges, lesson)
    lowest = before
    batches = _batches(pupils, lesson, random)
    for step in range(lesson.steps):
        progress(step, lesson.steps)
        loss = _loss(student, now, next(batches), lesson)
        gradients = torch.autograd.grad(loss, list(now.values()))
        slower = 0.5 * (1 + math.cos(math.pi * step / lesson.steps))
        optimiser.step(gradients, lesson.pace * slower)
        if (step + 1) % max(1, lesson.steps // _JUDGEMENTS) == 0:
            found = judged(student, now, judges, lesson)
            if found < lowest:
                lowest, best = found, {key: value.detach().clone() for key, value in now.items()}
    progress(lesson.steps, lesson.steps)
    return Learnt(best, before, lowest)


def judged(student: Student, parameters: Parameters, images: Tensor, lesson: Lesson) -> float:
    """Mean distance of the outputs per image."""
    import torch

    total = 0.0
    with torch.no_grad():
        for batch in images.split(lesson.batch):
            taught = student.exact(student.parameters, batch)[student.output]
            learnt = student.rounded(parameters, batch)[student.output]
            total += float(_distance(taught, learnt, scores=lesson.scores)) * len(batch)
    return total / len(images)


def _loss(student: Student, parameters: Parameters, batch: Tensor, lesson: Lesson) -> Tensor:
    import torch

    with torch.no_grad():
        taught = student.exact(student.parameters, batch)
    learnt = student.rounded(parameters, batch)
    features = [_error(taught[name], learnt[name]) for name in student.populations]
    distance = _distance(taught[student.output], learnt[student.output], scores=lesson.scores)
    return distance + _FEATURES * torch.stack(features).mean()


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


def _batches(images: Tensor, lesson: Lesson, random: Generator) -> Iterator[Tensor]:
    """Random images for ever, each as often as any other, moved and mirrored at random."""
    import torch

    while True:
        for chosen in torch.randperm(len(images), generator=random).split(lesson.batch):
            if len(chosen) == min(lesson.batch, len(images)):
                yield _moved(images[chosen], lesson, random)


def _moved(batch: Tensor, lesson: Lesson, random: Generator) -> Tensor:
    import torch

    shift = lesson.shift
    if lesson.flip:
        mirrored = torch.rand(len(batch), generator=random) < 0.5
        batch = torch.where(mirrored.reshape(-1, 1, 1, 1), batch.flip(-1), batch)
    if shift:
        height, width = batch.shape[2:]
        padded = torch.nn.functional.pad(batch, (shift,) * 4, mode="reflect")
        corners = torch.randint(2 * shift + 1, (len(batch), 2), generator=random).tolist()
        parts = [
            image[:, y : y + height, x : x + width]
            for image, (y, x) in zip(padded, corners, strict=True)
        ]
        batch = torch.stack(parts)
    return batch


class _Adam:
    """Adam whose steps are relative to the size of each channel; changes tensors in place."""

    def __init__(self, parameters: Parameters) -> None:
        import torch

        self._tensors = list(parameters.values())
        self._rates = [_rate(kind, value) for (_, kind), value in parameters.items()]
        self._first = [torch.zeros_like(value) for value in self._tensors]
        self._second = [torch.zeros_like(value) for value in self._tensors]
        self._steps = 0

    def step(self, gradients: tuple[Tensor, ...], factor: float) -> None:
        """One step, its size times a factor."""
        import torch

        self._steps += 1
        slow, fast = (1 - beta**self._steps for beta in _BETAS)
        with torch.no_grad():
            for tensor, rate, gradient, first, second in zip(
                self._tensors, self._rates, gradients, self._first, self._second, strict=True
            ):
                first.lerp_(gradient, 1 - _BETAS[0])
                second.lerp_(gradient.square(), 1 - _BETAS[1])
                tensor -= factor * rate * (first / slow) / ((second / fast).sqrt() + 1e-12)


def _rate(kind: str, tensor: Tensor) -> Tensor:
    if kind == "threshold":
        import torch

        return torch.tensor(_RATES[kind])
    value = tensor.detach()
    own = (
        value.square().mean().sqrt()
        if kind == "bias"
        else (value.square().mean(dim=tuple(range(1, value.dim())), keepdim=True).sqrt())
    )
    return _RATES[kind] * own
