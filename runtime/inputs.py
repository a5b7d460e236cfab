"""Inputs and labels from files: arrays, or folders of images that are read batch by batch."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from spikec.compiler.arrays import Array, Int64
from spikec.compiler.errors import InputError, Where
from spikec.compiler.program import Program
from spikec.runtime.array_files import check_readable, read_array, split_array_name
from spikec.runtime.preprocess import Raw

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


class Source(Protocol):
    """Raw inputs that can be sliced: an array, or a folder of images."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Raw: ...


@dataclass(frozen=True)
class ImageFiles:
    """Images, decoded when they are asked for.

    Attributes:
        paths: One file per image.
        layout: Axes of a decoded image: "hw" (grey), "hwc" or "chw" (RGB).
        classes: Class per image, or None if the folder has no subfolders.
        class_names: Name of each class that occurs, by class; empty without classes.
    """

    paths: tuple[Path, ...]
    layout: str
    classes: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: slice, /) -> list[Array]:
        """The images of a range, uint8, each of its own size."""
        return [_decoded(path, self.layout) for path in self.paths[rows]]


def open_inputs(
    spec: str | os.PathLike[str], layout: str = "", array: str | None = None
) -> Array | ImageFiles:
    """Raw inputs from ``file.npy``, ``file.npz``, ``file.npz:array``, an image or a folder.

    The images of a folder are sorted by path. If it has subfolders, each is a class: its number
    if all their names are numbers, else its place among the sorted names.

    Args:
        spec: Where the inputs are.
        layout: Axes of the raw inputs; images need one.
        array: Name of the array in a .npz file.

    Raises:
        InputError: Nothing usable is there; names the file.
    """
    path, name = split_array_name(os.fspath(spec))
    file = Path(path)
    if file.is_dir():
        return _folder(file, layout)
    if file.suffix.lower() in IMAGE_SUFFIXES:
        check_readable(file)
        return ImageFiles((file,), _image_layout(file, layout))
    values = read_array(file, array or name)
    if values.ndim == 0 or len(values) == 0:
        where = Where(array or name, file=str(file))
        raise InputError(f"holds no images: the array has shape {values.shape}", where)
    return values


def inputs_for(
    program: Program, spec: str | os.PathLike[str], array: str | None = None
) -> Array | ImageFiles:
    """Raw inputs of a program, in the layout that its preprocessing says; see ``open_inputs``."""
    layout = program.preprocessing.layout if program.preprocessing else ""
    return open_inputs(spec, layout, array)


def first_images(source: Array | ImageFiles, limit: int | None) -> Array | ImageFiles:
    """The first ``limit`` inputs; no image is decoded for it."""
    if limit is None:
        return source
    if isinstance(source, ImageFiles):
        classes = None if source.classes is None else source.classes[:limit]
        return replace(source, paths=source.paths[:limit], classes=classes)
    return source[:limit]


def read_labels(spec: str | os.PathLike[str], array: str | None = None) -> Int64:
    """Labels from ``file.npy``, ``file.npz`` or ``file.npz:array``, int64.

    Raises:
        InputError: The file cannot be read, or does not hold one integer per image.
    """
    path, name = split_array_name(os.fspath(spec))
    try:
        return checked_labels(read_array(path, array or name))
    except InputError as error:
        error.in_file(path)
        raise


def checked_labels(labels: object, images: int | None = None, classes: int | None = None) -> Int64:
    """Labels as int64, (images,).

    Args:
        labels: Array or sequence of class numbers from 0.
        images: How many there must be; None: any number.
        classes: Number of classes; None: any.

    Raises:
        InputError: They are no integers, not one per image, or outside the classes.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "buif":
        raise InputError(
            f"labels have shape {array.shape} and type {array.dtype}; "
            "one class number per image is needed"
        )
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.rint(array))).all():
        raise InputError("labels are not whole numbers", hint="give class numbers from 0")
    if images is not None and len(array) != images:
        raise InputError(
            f"there are {len(array)} labels for {images} images", hint="one label per image"
        )
    result: Int64 = array.astype(np.int64)
    _check_range(result, classes)
    return result


def _check_range(labels: Int64, classes: int | None) -> None:
    if not len(labels):
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes is not None and high >= classes):
        number = low if low < 0 else high
        limit = "from 0" if classes is None else f"0…{classes - 1}"
        raise InputError(
            f"label {number} of image {int(np.argmax(labels == number))} is no class; "
            f"classes are {limit}",
            hint="classes count from 0; check that these labels belong to this network",
        )


def _folder(folder: Path, layout: str) -> ImageFiles:
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir())
    groups = [_images_in(each) for each in subfolders]
    if any(groups):
        if loose := [path for path in _images_in(folder) if path.parent == folder]:
            raise InputError(
                f"{len(loose)} images stand beside subfolders that are classes",
                Where(file=str(folder)),
                f"move {loose[0].name} into a subfolder",
            )
        kept = [(path, images) for path, images in zip(subfolders, groups, strict=True) if images]
        names = [path.name for path, _ in kept]
        numbers = _class_numbers(names)
        return ImageFiles(
            tuple(image for _, images in kept for image in images),
            _image_layout(folder, layout),
            tuple(n for n, (_, images) in zip(numbers, kept, strict=True) for _ in images),
            tuple(names),
        )
    images = _images_in(folder)
    if not images:
        raise InputError(
            "the folder holds no images",
            Where(file=str(folder)),
            f"images end in {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    return ImageFiles(tuple(images), _image_layout(folder, layout))


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


def _class_numbers(names: list[str]) -> list[int]:
    if all(name.isascii() and name.isdigit() for name in names):
        return [int(name) for name in names]
    return list(range(len(names)))


def _image_layout(place: Path, layout: str) -> str:
    if layout:
        return layout
    raise InputError(
        "images are given, and the layout does not say what to make of them",
        Where(file=str(place)),
        "compile with --layout hwc for colour images, or --layout hw for grey ones",
    )


def _decoded(path: Path, layout: str) -> Array:
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if layout == "hw" else "RGB"))
    # Pillow raises SyntaxError on broken PNG chunks and ValueError on some truncated files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            "the image cannot be decoded", Where(file=str(path)), "remove or replace this file"
        ) from error
    return np.moveaxis(pixels, -1, 0) if layout == "chw" else pixels
