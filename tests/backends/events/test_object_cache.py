from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from spikec.backends.folders import CACHE_DIR
from spikec.backends.simulator.events.cache import ObjectCache, user_cache

KEY = "0a" * 32
OTHER = "ff" * 32
CONTENT = bytes(range(256))

posix_only = pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "home" / "kernels")


@pytest.fixture
def file(cache: ObjectCache) -> Path:
    """The file of the only content in the cache."""
    cache.write(KEY, CONTENT)
    assert cache.folder is not None
    (path,) = cache.folder.iterdir()
    return path


def test_what_was_written_is_read(cache: ObjectCache, file: Path) -> None:
    assert cache.read(KEY) == CONTENT
    assert cache.read(OTHER) is None
    cache.write(KEY, b"")
    assert cache.read(KEY) == b""
    assert [file] == list(file.parent.iterdir())


@posix_only
def test_folder_and_files_belong_to_their_user_alone(file: Path) -> None:
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_with_any_bit_flipped_is_not_read(cache: ObjectCache, file: Path) -> None:
    written = file.read_bytes()
    for place in range(len(written)):
        damaged = bytearray(written)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        assert cache.read(KEY) is None
    file.write_bytes(written)
    assert cache.read(KEY) == CONTENT


def test_a_file_of_any_other_length_is_not_read(cache: ObjectCache, file: Path) -> None:
    written = file.read_bytes()
    for length in range(len(written)):
        file.write_bytes(written[:length])
        assert cache.read(KEY) is None
    file.write_bytes(written + b"\0")
    assert cache.read(KEY) is None


def test_the_file_of_another_key_is_not_read(cache: ObjectCache, file: Path) -> None:
    file.rename(file.with_name(file.name.replace(KEY, OTHER)))
    assert cache.read(OTHER) is None


def test_a_damaged_file_is_written_anew(cache: ObjectCache, file: Path) -> None:
    file.write_bytes(b"damaged")
    cache.write(KEY, CONTENT)
    assert cache.read(KEY) == CONTENT


@posix_only
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(
    cache: ObjectCache, file: Path, mode: int
) -> None:
    file.parent.chmod(mode)
    assert cache.read(KEY) is None
    cache.write(OTHER, CONTENT)
    assert [file] == list(file.parent.iterdir())


@posix_only
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_to_is_not_read(
    cache: ObjectCache, file: Path, mode: int
) -> None:
    file.chmod(mode)
    assert cache.read(KEY) is None


@posix_only
def test_what_belongs_to_another_user_is_not_used(
    cache: ObjectCache, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert cache.read(KEY) is None
    cache.write(OTHER, CONTENT)
    assert [file] == list(file.parent.iterdir())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("given", ["folder", "file"])
def test_what_was_given_to_another_user_is_not_read(
    cache: ObjectCache, file: Path, given: str
) -> None:
    os.chown(file if given == "file" else file.parent, 12345, 12345)
    assert cache.read(KEY) is None


@posix_only
def test_a_link_is_no_folder(cache: ObjectCache, file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file.parent)
    assert ObjectCache(tmp_path / "link").read(KEY) is None


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "kernels", Path("\0"), None):
        cache = ObjectCache(folder)
        cache.write(KEY, CONTENT)
        cache.prune()
        assert cache.read(KEY) is None


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_read(cache: ObjectCache, file: Path) -> None:
    file.parent.chmod(0o500)
    cache.write(OTHER, CONTENT)
    assert cache.read(KEY) == CONTENT
    file.parent.chmod(0o700)


def test_a_full_disk_leaves_no_file(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        cache.write(KEY, CONTENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert cache.folder is not None
    assert list(cache.folder.iterdir()) == []


def test_the_oldest_files_go_when_all_are_too_large(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "kernels", limit=8000)
    keys = [f"{0xF0 + index:02x}" * 32 for index in range(10)]
    now = time.time()
    for age, key in enumerate(keys):
        cache.write(key, bytes(1000))
        os.utime(tmp_path / "kernels" / f"{key}.kernel", (now, now - age))
    (tmp_path / "kernels" / "notes.txt").write_bytes(bytes(9000))
    cache.prune()
    assert [cache.read(key) is not None for key in keys] == [True] * 5 + [False] * 5
    assert (tmp_path / "kernels" / "notes.txt").exists()
    cache.prune()  # what is left is within the limit
    assert sum(cache.read(key) is not None for key in keys) == 5


def test_one_write_in_64_looks_for_what_is_too_large(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit=0)
    tmp_path.chmod(0o700)
    for first in range(256):
        cache.write(f"{first:02x}" * 32, CONTENT)
    assert len(list(tmp_path.iterdir())) == 252  # keys from 04… on; 00… to 03… removed all


def test_files_that_nobody_finished_go_too(tmp_path: Path) -> None:
    (tmp_path / "killed.part").write_bytes(CONTENT)
    ObjectCache(tmp_path, limit=10).prune()
    assert list(tmp_path.iterdir()) == []


def test_files_in_use_stay_young(cache: ObjectCache, file: Path) -> None:
    long_ago = time.time() - 10**6
    os.utime(file, (long_ago, long_ago))
    cache.read(KEY)
    assert file.stat().st_mtime > long_ago + 10**5


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_DIR, str(tmp_path))
    assert user_cache().folder == tmp_path / "kernels"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE_DIR, "here")
    assert user_cache().folder == tmp_path / "here" / "kernels"


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg"),
        ("linux", {}, "home/.cache"),
        ("darwin", {"XDG_CACHE_HOME": "xdg"}, "home/Library/Caches"),
        ("win32", {"LOCALAPPDATA": "local"}, "local"),
    ],
)
def test_every_system_has_its_place_for_caches(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    variables: dict[str, str],
    expected: str,
) -> None:
    for name in (CACHE_DIR, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(sys, "platform", system)
    assert user_cache().folder == tmp_path / expected / "spikec" / "kernels"


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (CACHE_DIR, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", nobody)
    assert user_cache().folder is None
