"""Batches of calibration images, each time a little different.

The teacher answers any image, so one that no class is right for teaches too: two images laid over
each other (Zhang et al., "mixup", ICLR 2018) ask for what lies between two confident answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Variation:
    """How images may be changed.

    Attributes:
        shift: They are moved by up to so many pixels; 0 leaves them where they are.
        flip: Whether they are mirrored left to right.
        mix: Whether each is laid over another one.
    """

    shift: int = 0
    flip: bool = False
    mix: bool = False


UNCHANGED = Variation()


def batches(images: Tensor, size: int, variation: Variation, random: Generator) -> Iterator[Tensor]:
    """Random images for ever, each as often as any other, varied at random.

    Args:
        images: (images, …).
        size: Images per batch, or all of them if they are fewer.
        variation: How.
        random: Of every choice.
    """
    import torch

    while True:
        for chosen in torch.randperm(len(images), generator=random).split(size):
            if len(chosen) == min(size, len(images)):
                yield _varied(images[chosen], variation, random)


def _varied(batch: Tensor, variation: Variation, random: Generator) -> Tensor:
    if variation.flip:
        batch = _mirrored(batch, random)
    if variation.shift:
        batch = _moved(batch, variation.shift, random)
    return _mixed(batch, random) if variation.mix else batch


def _mirrored(batch: Tensor, random: Generator) -> Tensor:
    import torch

    turned = torch.rand(len(batch), generator=random) < 0.5
    return torch.where(turned.reshape(-1, 1, 1, 1), batch.flip(-1), batch)


def _moved(batch: Tensor, shift: int, random: Generator) -> Tensor:
    import torch

    height, width = batch.shape[2:]
    padded = torch.nn.functional.pad(batch, (shift,) * 4, mode="reflect")
    corners = torch.randint(2 * shift + 1, (len(batch), 2), generator=random).tolist()
    parts = [
        image[:, y : y + height, x : x + width]
        for image, (y, x) in zip(padded, corners, strict=True)
    ]
    return torch.stack(parts)


def _mixed(batch: Tensor, random: Generator) -> Tensor:
    import torch

    share = torch.rand(len(batch), generator=random).reshape(-1, *[1] * (batch.dim() - 1))
    return share * batch + (1 - share) * batch.roll(1, 0)
