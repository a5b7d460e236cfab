from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikec.compiler.errors import InputError
from spikec.runtime.array_files import read_array, split_array_name
from spikec.runtime.inputs import (
    ImageFiles,
    checked_labels,
    first_images,
    open_inputs,
    read_labels,
)

X = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
Y = np.array([3, 0, 1, 2])


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    file = tmp_path / "images.npz"
    np.savez(file, test_x=X, test_y=Y)
    return file


def photo(path: Path, value: int, size: tuple[int, int] = (5, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 255)).save(path)


def test_an_array_of_an_npz_file_is_chosen_by_name(npz: Path) -> None:
    np.testing.assert_array_equal(open_inputs(f"{npz}:test_x"), X)
    np.testing.assert_array_equal(open_inputs(npz, array="test_x"), X)
    np.testing.assert_array_equal(read_labels(f"{npz}:test_y"), Y)


def test_an_npz_file_with_one_array_needs_no_name(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "one.npz", anything=X)
    np.testing.assert_array_equal(open_inputs(tmp_path / "one.npz"), X)


def test_several_arrays_without_a_name_are_listed_with_shapes(npz: Path) -> None:
    with pytest.raises(InputError, match="none is named") as caught:
        open_inputs(npz)
    assert "test_x (4, 2, 3) uint8" in caught.value.hint
    assert "test_y (4,) int64" in caught.value.hint
    assert caught.value.where.file == str(npz)


def test_an_unknown_name_lists_what_is_there(npz: Path) -> None:
    with pytest.raises(InputError, match="no array named 'train'") as caught:
        open_inputs(f"{npz}:train")
    assert "test_x" in caught.value.hint


def test_npy_files_are_mapped_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    array = read_array(tmp_path / "x.npy")
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, X)


def test_a_file_whose_own_name_holds_a_colon_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a.npz:b"
    file.write_bytes(b"")
    assert split_array_name(str(file)) == (str(file), None)
    assert split_array_name("a.npz:b") == ("a.npz", "b")


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path: Path, npz: Path) -> None:
    whole = npz.read_bytes()
    np.save(tmp_path / "whole.npy", np.zeros(1000))
    contents = {
        "empty.npy": b"",
        "half.npz": whole[: len(whole) // 2],
        "half.npy": (tmp_path / "whole.npy").read_bytes()[:500],
        "text.npy": b"one, two, three\n",
        "text.csv": b"1,2,3\n",
        "pointer.npz": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "zip.npz": b"PK\x03\x04" + bytes(50),
        "flipped.npz": whole[:60] + bytes(40) + whole[100:],
    }
    for name, content in contents.items():
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(InputError) as caught:
            open_inputs(f"{file}:test_x" if name.endswith("npz") else file)
        assert caught.value.where.file == str(file), name


def test_a_missing_file_and_a_folder_as_labels_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.npy", tmp_path):
        with pytest.raises(InputError) as caught:
            read_labels(path)
        assert caught.value.where.file == str(path)


def test_objects_and_text_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}, []], object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", a=np.array([None]))
    np.save(tmp_path / "s.npy", np.array(["a"]))
    for name in ("o.npy", "o.npz", "s.npy"):
        with pytest.raises(InputError) as caught:
            open_inputs(tmp_path / name)
        assert caught.value.where.file == str(tmp_path / name)


def test_arrays_without_images_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", none=np.zeros((0, 3)), scalar=np.float32(1))
    for name in ("none", "scalar"):
        with pytest.raises(InputError, match="holds no images") as caught:
            open_inputs(tmp_path / "x.npz", array=name)
        assert caught.value.where.node == name


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name, value in (("b.png", 2), ("a.bmp", 1), ("c.tiff", 3)):
        photo(tmp_path / name, value)
    (tmp_path / "readme.txt").write_text("no image")
    images = open_inputs(tmp_path, "hwc")
    assert isinstance(images, ImageFiles)
    assert len(images) == 3
    assert images.classes is None
    decoded = images[0:2]
    assert [image.shape for image in decoded] == [(4, 5, 3)] * 2
    assert [int(image[0, 0, 0]) for image in decoded] == [1, 2]


def test_the_layout_decides_how_images_are_decoded(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 9)
    shapes = {
        layout: open_inputs(tmp_path / "a.png", layout)[0:1][0].shape
        for layout in ("hw", "hwc", "chw")
    }
    assert shapes == {"hw": (4, 5), "hwc": (4, 5, 3), "chw": (3, 4, 5)}
    with pytest.raises(InputError, match="layout"):
        open_inputs(tmp_path / "a.png")


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/1.png", "cat/2.png"):
        photo(tmp_path / name, 1)
    (tmp_path / "empty").mkdir()
    images = open_inputs(tmp_path, "hwc")
    assert isinstance(images, ImageFiles)
    assert images.classes == (0, 0, 1)
    assert images.class_names == ("cat", "dog")


def test_subfolders_named_by_numbers_are_those_classes(tmp_path: Path) -> None:
    for name in ("10/1.png", "2/1.png"):
        photo(tmp_path / name, 1)
    images = open_inputs(tmp_path, "hwc")
    assert isinstance(images, ImageFiles)
    assert images.classes == (10, 2)


def test_images_beside_classes_are_refused(tmp_path: Path) -> None:
    photo(tmp_path / "cat" / "1.png", 1)
    photo(tmp_path / "stray.png", 1)
    with pytest.raises(InputError) as caught:
        open_inputs(tmp_path, "hwc")
    assert "stray.png" in caught.value.hint


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="holds no images") as caught:
        open_inputs(tmp_path, "hwc")
    assert caught.value.where.file == str(tmp_path)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", 1)
    whole = (tmp_path / "a.png").read_bytes()
    for name, content in (("b.png", whole[:50]), ("c.jpg", b"not an image")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="cannot be decoded") as caught:
            open_inputs(tmp_path / name, "hwc")[0:1]
        assert caught.value.where.file == str(tmp_path / name)


def test_the_first_images_are_taken_without_decoding_any(tmp_path: Path) -> None:
    for i in range(3):
        photo(tmp_path / str(i) / "a.png", i)
    (tmp_path / "0" / "a.png").write_bytes(b"broken")
    images = first_images(open_inputs(tmp_path, "hwc"), 2)
    assert isinstance(images, ImageFiles)
    assert (len(images), images.classes) == (2, (0, 1))
    np.testing.assert_array_equal(first_images(X, 2), X[:2])
    assert first_images(X, None) is X


def test_labels_may_be_whole_floats_or_a_column() -> None:
    assert checked_labels([1.0, 2.0]).tolist() == [1, 2]
    assert checked_labels(np.array([[3], [1]], np.uint8)).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([0, 1], "2 labels for 3 images"),
        ([0, 1, 10], r"label 10 of image 2 is no class; classes are 0…9"),
        ([0, -1, 1], "label -1 of image 1"),
        ([0.5, 1, 2], "not whole numbers"),
        ([np.nan, 1, 2], "not whole numbers"),
        (["a", "b", "c"], "one class number per image"),
        (np.zeros((3, 10)), "one class number per image"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        checked_labels(labels, images=3, classes=10)
