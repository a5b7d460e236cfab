from __future__ import annotations

import importlib.util
from itertools import islice

import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch, an optional library, is not installed", allow_module_level=True)
import torch

from spikec.compiler.gradient.batches import UNCHANGED, Variation, batches

IMAGES = torch.arange(1.0, 13.0).reshape(12, 1, 1, 1) * torch.ones(1, 2, 5, 7)


def drawn(images: torch.Tensor, variation: Variation, count: int = 3) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return list(islice(batches(images, 4, variation, random), count))


def test_every_image_comes_once_before_any_comes_again() -> None:
    found = torch.cat(drawn(IMAGES, UNCHANGED))
    assert found.shape == IMAGES.shape
    assert sorted(found[:, 0, 0, 0].tolist()) == list(range(1, 13))


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    (found,) = drawn(IMAGES[:3], UNCHANGED, count=1)
    assert len(found) == 3


def test_mirrored_images_are_themselves_or_their_mirror() -> None:
    images = torch.rand(12, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    every = [tuple(image.flatten().tolist()) for image in images]
    turned = [tuple(image.flip(-1).flatten().tolist()) for image in images]
    found = [
        tuple(i.flatten().tolist()) for batch in drawn(images, Variation(flip=True)) for i in batch
    ]
    kept = sum(image in every for image in found)
    assert all(image in every or image in turned for image in found)
    assert 0 < kept < len(found)


def test_moved_images_keep_what_stays_inside() -> None:
    spot = torch.zeros(12, 1, 9, 9)
    spot[:, :, 4, 4] = 1.0
    moved = torch.cat(drawn(spot, Variation(shift=2)))
    assert moved.shape == spot.shape
    assert moved[:, :, 2:7, 2:7].sum(dim=(1, 2, 3)).tolist() == [1.0] * 12
    assert len({int(image.argmax()) for image in moved}) > 3


def test_mixed_images_lie_between_two() -> None:
    (batch,) = drawn(IMAGES[:2], Variation(mix=True), count=1)
    values = batch[:, 0, 0, 0]
    assert all(1 < value < 2 for value in values.tolist())
    assert torch.equal(batch, values.reshape(-1, 1, 1, 1).expand_as(batch))
