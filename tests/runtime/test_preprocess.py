from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from spikec.compiler.errors import InputError, OptionError
from spikec.compiler.preprocessing import Preprocessing
from spikec.runtime.preprocess import preprocess

RNG = np.random.default_rng(1)
PHOTOS = RNG.integers(0, 256, (4, 10, 14, 3), dtype=np.uint8)


def test_scale_mean_and_std_apply_in_this_order_per_channel() -> None:
    steps = Preprocessing(scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), layout="hwc")
    expected = (PHOTOS / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    actual = preprocess(PHOTOS, steps)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)


def test_each_layout_ends_with_channels_first() -> None:
    expected = PHOTOS.transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(preprocess(PHOTOS, Preprocessing(layout="hwc")), expected)
    chw = PHOTOS.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(preprocess(chw, Preprocessing(layout="chw")), expected)
    grey = PHOTOS[..., 0]
    np.testing.assert_array_equal(preprocess(grey, Preprocessing(layout="hw")), expected[:, :1])


def test_without_a_layout_the_axes_stay() -> None:
    flat = RNG.uniform(size=(5, 7)).astype(np.float32)
    np.testing.assert_array_equal(preprocess(flat, Preprocessing(scale=2.0)), 2 * flat)


def test_crop_cuts_the_centre() -> None:
    cropped = preprocess(PHOTOS, Preprocessing(crop=(4, 6), layout="hwc"))
    np.testing.assert_array_equal(cropped, PHOTOS[:, 3:7, 4:10].transpose(0, 3, 1, 2))


def test_resize_of_the_shorter_side_is_bilinear_by_pillow_on_whole_images() -> None:
    resized = preprocess(PHOTOS, Preprocessing(resize=5, layout="hwc"))
    pillow = [
        np.asarray(Image.fromarray(p).resize((7, 5), Image.Resampling.BILINEAR)) for p in PHOTOS
    ]
    np.testing.assert_array_equal(resized, np.stack(pillow).transpose(0, 3, 1, 2))


def test_resize_to_height_and_width_ignores_the_aspect() -> None:
    assert preprocess(PHOTOS, Preprocessing(resize=(6, 3), layout="hwc")).shape == (4, 3, 6, 3)


def test_float_images_are_resized_without_rounding() -> None:
    ramp = np.linspace(0, 1, 8, dtype=np.float32)[None, :, None].repeat(8, axis=2)
    resized = preprocess(ramp, Preprocessing(resize=4, layout="hw"))
    assert len(np.unique(resized)) == 4


def test_images_of_different_sizes_come_to_one_size() -> None:
    steps = Preprocessing(resize=8, crop=(8, 8), layout="hwc")
    together = preprocess([PHOTOS[0], PHOTOS[1, :, :12]], steps)
    np.testing.assert_array_equal(together[:1], preprocess(PHOTOS[:1], steps))
    assert together.shape == (2, 3, 8, 8)


def test_images_of_different_sizes_without_resize_are_refused() -> None:
    with pytest.raises(InputError, match="different sizes") as caught:
        preprocess([PHOTOS[0], PHOTOS[1, :, :12]], Preprocessing(layout="hwc"))
    assert "--resize" in caught.value.hint


def test_raw_inputs_are_not_changed() -> None:
    raw = RNG.uniform(size=(2, 3)).astype(np.float32)
    before = raw.copy()
    preprocess(raw, Preprocessing(scale=2.0, mean=(1.0,)))
    np.testing.assert_array_equal(raw, before)


@pytest.mark.parametrize(
    ("raw", "steps", "problem"),
    [
        (PHOTOS[0], Preprocessing(layout="hwc"), "have shape"),
        (PHOTOS, Preprocessing(crop=(11, 4), layout="hwc"), "cannot be cropped"),
        (PHOTOS, Preprocessing(mean=(1.0, 2.0), layout="hwc"), "mean has 2 values"),
        (np.array([["a"]]), Preprocessing(), "numbers are needed"),
        (np.zeros((2, 3), complex), Preprocessing(), "numbers are needed"),
    ],
)
def test_images_that_do_not_fit_are_refused(raw: np.ndarray, steps: object, problem: str) -> None:
    assert isinstance(steps, Preprocessing)
    with pytest.raises(InputError, match=problem):
        preprocess(raw, steps)


@pytest.mark.parametrize(
    "steps",
    [
        Preprocessing(layout="whc"),
        Preprocessing(scale=float("nan")),
        Preprocessing(scale=0.0),
        Preprocessing(std=(0.0,)),
        Preprocessing(mean=()),
        Preprocessing(mean=(float("inf"),)),
        Preprocessing(resize=0, layout="hwc"),
        Preprocessing(crop=(4, 0), layout="hwc"),
        Preprocessing(crop=(4, 4)),
    ],
)
def test_parameters_outside_their_range_are_refused(steps: Preprocessing) -> None:
    with pytest.raises(OptionError):
        preprocess(PHOTOS, steps)
