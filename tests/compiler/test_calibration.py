from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from spikec.compiler.calibration import regrouped, selected_images
from spikec.compiler.errors import CalibrationError
from spikec.compiler.ir import INPUT, Node
from spikec.compiler.options import CompileOptions

SOURCE = Node("x", INPUT, shape=(2,))
IMAGES = np.arange(60, dtype=np.float32).reshape(30, 2)


def in_batches(size: int) -> Iterator[np.ndarray]:
    return (IMAGES[at : at + size] for at in range(0, len(IMAGES), size))


@pytest.mark.parametrize("size", [1, 4, 7, 30, 100])
def test_regrouped_batches_hold_the_same_images_in_order(size: int) -> None:
    for given in (1, 3, 8, 30):
        batches = list(regrouped(in_batches(given), size))
        assert np.array_equal(np.concatenate(batches), IMAGES)
        assert {len(batch) for batch in batches[:-1]} <= {size}


@pytest.mark.parametrize("size", [1, 4, 7, 30])
def test_a_stream_begins_with_the_images_that_are_held(size: int) -> None:
    options = CompileOptions(calibration_images=10, threshold_images=25)
    images, stream = selected_images(in_batches(size), SOURCE, options)
    assert np.array_equal(images, IMAGES[:10])
    assert stream is not None
    assert np.array_equal(np.concatenate(list(stream)), IMAGES[:25])


def test_of_an_array_the_stream_is_drawn_like_the_images_that_are_held() -> None:
    options = CompileOptions(calibration_images=10, threshold_images=25, seed=4)
    images, stream = selected_images(IMAGES, SOURCE, options)
    assert stream is not None
    streamed = np.concatenate(list(stream))
    assert np.array_equal(streamed[:10], images)
    assert len({tuple(image) for image in streamed}) == 25
    alone, none = selected_images(IMAGES, SOURCE, CompileOptions(calibration_images=10, seed=4))
    assert np.array_equal(alone, images)
    assert none is None


def test_no_more_batches_are_read_than_are_used() -> None:
    read: list[int] = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            read.append(1)
            yield IMAGES[:5]

    images, _ = selected_images(endless(), SOURCE, CompileOptions(calibration_images=12))
    assert len(images) == 12
    assert len(read) == 3


def test_images_beyond_the_memory_are_not_held() -> None:
    wide = Node("x", INPUT, shape=(2**16,))
    options = CompileOptions(calibration_images=1000, memory_bytes=2**20)
    batches = (np.zeros((1, 2**16), np.float32) for _ in range(1000))
    images, _ = selected_images(batches, wide, options)
    assert len(images) == 4


def test_a_batch_that_is_not_finite_is_refused_when_it_is_streamed() -> None:
    options = CompileOptions(calibration_images=5, threshold_images=30)
    _, stream = selected_images(iter([IMAGES[:5], IMAGES[5:] * np.nan]), SOURCE, options)
    assert stream is not None
    with pytest.raises(CalibrationError, match="NaN"):
        list(stream)


def test_what_can_be_read_again_is_streamed_again() -> None:
    options = CompileOptions(calibration_images=10, threshold_images=25)
    for source in (IMAGES, list(in_batches(4))):
        _, stream = selected_images(source, SOURCE, options)
        assert stream is not None
        once, again = (np.concatenate(list(stream)) for _ in range(2))
        assert np.array_equal(once, again)
        assert len(once) == 25


def test_what_can_be_read_once_says_so_the_second_time() -> None:
    options = CompileOptions(calibration_images=10, threshold_images=25)
    _, stream = selected_images(in_batches(4), SOURCE, options)
    assert stream is not None
    list(stream)
    with pytest.raises(CalibrationError, match="read once"):
        list(stream)
