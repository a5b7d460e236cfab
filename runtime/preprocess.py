"""Raw images → the float32 inputs of a model: resize, crop, scale, mean, std, in this order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spikec.compiler.arrays import Array, Float32
from spikec.compiler.errors import InputError, OptionError
from spikec.compiler.preprocessing import Preprocessing

LAYOUTS = ("chw", "hwc", "hw", "")

_AXES = {"chw": "(images, channels, height, width)", "hwc": "(images, height, width, channels)"}
_AXES["hw"] = "(images, height, width)"

Raw = Array | Sequence[Array]
"""A batch in one array, or images of different sizes one by one."""


def check_preprocessing(preprocessing: Preprocessing) -> None:
    """Raise OptionError where a field is outside its range."""
    p = preprocessing
    if p.layout not in LAYOUTS:
        raise OptionError(f"layout is {p.layout!r}", hint='use "chw", "hwc", "hw" or ""')
    if not (math.isfinite(p.scale) and p.scale != 0):
        raise OptionError(f"scale is {p.scale}; it must be finite and not 0")
    if not p.mean or not all(map(math.isfinite, p.mean)):
        raise OptionError(f"mean is {p.mean}; it must be finite: one value, or one per channel")
    if not p.std or not all(math.isfinite(value) and value > 0 for value in p.std):
        raise OptionError(f"std is {p.std}; it must be > 0: one value, or one per channel")
    sizes = [p.resize] if isinstance(p.resize, int) else [*(p.resize or ()), *(p.crop or ())]
    if any(size < 1 for size in sizes):
        raise OptionError(f"resize is {p.resize}, crop is {p.crop}; sizes must be 1 pixel or more")
    if not p.layout and (p.resize is not None or p.crop is not None):
        raise OptionError(
            "resize and crop need to know the axes of the raw images",
            hint='give the layout as "chw", "hwc" or "hw"',
        )


def preprocess(raw: Raw, preprocessing: Preprocessing) -> Float32:
    """What the model reads for these raw images, float32: (images, channels, height, width).

    With layout "" the axes stay as they are. Values are (scale·raw − mean) / std in float32.
    A shorter side of r pixels means (r, ⌊long·r/short⌋); a crop starts at round((size − crop)/2).

    Args:
        raw: Any real type, axes as the layout says.
        preprocessing: Steps and their parameters.

    Raises:
        OptionError: A parameter is outside its range.
        InputError: Axes, type or size of the images do not fit.
    """
    check_preprocessing(preprocessing)
    batches = [raw] if isinstance(raw, np.ndarray) else [image[None] for image in raw]
    shaped = [_resized_and_cropped(batch, preprocessing) for batch in batches]
    if len({batch.shape[1:] for batch in shaped}) > 1:
        sizes = sorted({batch.shape[-2:] for batch in shaped})
        raise InputError(
            f"images have different sizes: {sizes[0]} and {sizes[-1]} (height, width)",
            hint="bring them to one size with --resize and --crop",
        )
    whole = shaped[0] if len(shaped) == 1 else np.concatenate(shaped)
    return _normalised(whole, preprocessing)


def check_numeric(array: Array, what: str) -> None:
    """Raise InputError unless ``array`` holds real numbers."""
    if array.dtype.kind not in "buif":
        raise InputError(
            f"{what} has type {array.dtype}; numbers are needed", hint="save it as float32 or uint8"
        )


def _resized_and_cropped(batch: Array, preprocessing: Preprocessing) -> Array:
    check_numeric(batch, "the input array")
    batch = _channels_first(batch, preprocessing.layout)
    if preprocessing.resize is not None:
        batch = _resized(batch, preprocessing.resize)
    if preprocessing.crop is not None:
        batch = _cropped(batch, preprocessing.crop)
    return batch


def _channels_first(batch: Array, layout: str) -> Array:
    if layout and batch.ndim != len(layout) + 1:
        raise InputError(
            f"raw inputs of layout {layout!r} are {_AXES[layout]}, these have shape {batch.shape}",
            hint="give the layout of the raw arrays with --layout",
        )
    match layout:
        case "hwc":
            return np.moveaxis(batch, -1, 1)
        case "hw":
            return batch[:, None]
        case _:
            return batch


def _resized(batch: Array, resize: int | tuple[int, int]) -> Array:
    from PIL import Image

    height, width = batch.shape[-2:]
    if isinstance(resize, int):
        short = min(height, width)
        size = (height * resize // short, width * resize // short)
    else:
        size = resize
    if size == (height, width):
        return batch
    # Pillow keeps 8-bit images in 8 bits, as every image library does; other types go as float32.
    planes = batch if batch.dtype == np.uint8 else batch.astype(np.float32)
    result = np.empty((*batch.shape[:2], *size), planes.dtype)
    for index in np.ndindex(*batch.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[index]))
        result[index] = plane.resize(size[::-1], Image.Resampling.BILINEAR)
    return result


def _cropped(batch: Array, crop: tuple[int, int]) -> Array:
    size = batch.shape[-2:]
    if crop[0] > size[0] or crop[1] > size[1]:
        raise InputError(
            f"images of {size} pixels (height, width) cannot be cropped to {crop}",
            hint="resize to a larger size first, or crop less",
        )
    top, left = (round((s - c) / 2) for s, c in zip(size, crop, strict=True))
    return batch[..., top : top + crop[0], left : left + crop[1]]


def _normalised(batch: Array, preprocessing: Preprocessing) -> Float32:
    result = batch.astype(np.float32)
    result *= np.float32(preprocessing.scale)
    result -= _per_channel(preprocessing.mean, result, "mean")
    result /= _per_channel(preprocessing.std, result, "std")
    return result


def _per_channel(values: tuple[float, ...], batch: Float32, name: str) -> Float32:
    array = np.asarray(values, np.float32)
    if len(values) == 1:
        return array
    channels = batch.shape[1] if batch.ndim > 1 else 0
    if len(values) != channels:
        raise InputError(
            f"{name} has {len(values)} values, the images have {channels} channels",
            hint=f"give one {name}, or one per channel, and check --layout",
        )
    return array.reshape(-1, *[1] * (batch.ndim - 2))
