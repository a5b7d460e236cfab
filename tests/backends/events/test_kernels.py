from __future__ import annotations

import ast
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny_kernels
from source_tree import TREES, check, functions, imports, within
from tiny_kernels import AddConstant, NeverEnds, TakeSine

from spikec.backends.simulator.events import machine as machine_module
from spikec.backends.simulator.events import machine_code, sources
from spikec.backends.simulator.events.cache import ObjectCache
from spikec.backends.simulator.events.kernels import (
    KernelLibrary,
    MachineCodeError,
    kernel_library,
)
from spikec.backends.simulator.events.machine import Level, host_machine
from spikec.backends.simulator.events.sources import PACKAGE, fingerprint, is_defined_in
from spikec.compiler.errors import OptionError

EVENTS = "spikec.backends.simulator.events"

MANY = tuple(AddConstant(number) for number in range(6))

SEPARATE_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from spikec.backends.simulator.events.cache import user_cache
from spikec.backends.simulator.events.kernels import KernelLibrary
from spikec.backends.simulator.events.machine import host_machine
from tiny_kernels import FOLDER, AddConstant, call
library = KernelLibrary(host_machine(), user_cache(), FOLDER)
values = np.zeros(8, np.int16)
for address in library.load(map(AddConstant, range(1, 9))).values():
    call(address, values)
print(*values)
"""


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "kernels")


def library(cache: ObjectCache, generators: Path = tiny_kernels.FOLDER) -> KernelLibrary:
    return KernelLibrary(host_machine(), cache, generators)


def files(cache: ObjectCache) -> list[Path]:
    assert cache.folder is not None
    return sorted(cache.folder.glob("*")) if cache.folder.exists() else []


def added(address: int) -> set[int]:
    """What a kernel adds to zeros."""
    values = np.zeros(8, np.int16)
    tiny_kernels.call(address, values)
    return {*values.tolist()}


def never(*_: object) -> None:
    raise AssertionError("emitted again")


@pytest.mark.parametrize("level", [None, *Level])
def test_kernels_compute_at_every_level(level: Level | None) -> None:
    try:
        loaded = kernel_library(host_machine(level)).load([AddConstant(n, 32) for n in (1, -300)])
    except OptionError as error:
        pytest.skip(str(error))
    values = np.arange(-32000, 32000, 2000, dtype=np.int16)
    expected = values.astype(np.int64) - 299
    for address in loaded.values():
        tiny_kernels.call(address, values)
    assert values.tolist() == [(n + 2**15) % 2**16 - 2**15 for n in expected.tolist()]


def test_a_process_shares_one_library_per_machine() -> None:
    assert kernel_library(host_machine()) is kernel_library(host_machine())
    generic = host_machine(Level.GENERIC)
    assert kernel_library(generic) is not kernel_library(host_machine())


def test_a_kernel_is_made_once(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = library(cache)
    first = kernels.load([AddConstant(1), AddConstant(1), AddConstant(2)])
    monkeypatch.setattr(AddConstant, "emit", never)
    assert kernels.load([AddConstant(2), AddConstant(1)]) == first
    assert kernels.load([]) == {}


def test_all_kernels_of_a_call_share_one_engine(cache: ObjectCache) -> None:
    before = len(machine_code._ENGINES)
    kernels = library(cache)
    for specs in (MANY, MANY[:3], (*MANY, AddConstant(-1))):
        kernels.load(specs)
    assert len(machine_code._ENGINES) == before + 2


def test_different_kernels_of_one_name_are_refused(cache: ObjectCache) -> None:
    kernels = library(cache)
    kernels.load([AddConstant(1)])
    for specs in ([TakeSine("add_1_8")], [TakeSine("same"), NeverEnds("same")]):
        with pytest.raises(ValueError, match=r"are named (add_1_8|same)"):
            kernels.load(specs)


def test_a_cached_kernel_of_another_class_is_not_taken_for_its_namesake(cache: ObjectCache) -> None:
    library(cache).load([AddConstant(1)])
    with pytest.raises(MachineCodeError, match="sin"):
        library(cache).load([TakeSine("add_1_8")])


def test_any_number_of_threads_may_ask_at_once(cache: ObjectCache) -> None:
    kernels = library(cache)
    wanted = [[AddConstant(number) for number in range(first, first + 6)] for first in range(8)]
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(kernels.load, wanted))
    for addresses in loaded:
        assert all(added(address) == {spec.number} for spec, address in addresses.items())
    assert len(files(cache)) == 13


def test_another_process_neither_emits_nor_compiles(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(cache).load(MANY)
    monkeypatch.setattr(AddConstant, "emit", never)
    for spec, address in library(cache).load(MANY).items():
        assert added(address) == {spec.number}


def test_kernels_of_other_fields_versions_and_machines_are_kept_apart(cache: ObjectCache) -> None:
    library(cache).load([AddConstant(1), AddConstant(2)])
    KernelLibrary(host_machine(Level.GENERIC), cache, tiny_kernels.FOLDER).load([AddConstant(1)])
    assert len(files(cache)) == 3
    library(cache, tiny_kernels.FOLDER.parent).load([AddConstant(1)])  # more source text
    assert len(files(cache)) == 4


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:99] + b[100:]])
def test_damaged_objects_are_compiled_anew(cache: ObjectCache, damage: object) -> None:
    library(cache).load(MANY)
    written = {file: file.read_bytes() for file in files(cache)}
    for file, content in written.items():
        assert callable(damage)
        file.write_bytes(damage(content))
    assert [added(address) for address in library(cache).load(MANY).values()] == [
        {number} for number in range(6)
    ]
    assert {file: file.read_bytes() for file in files(cache)} == written


def test_without_a_usable_folder_kernels_are_compiled(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "kernels", None):
        (address,) = library(ObjectCache(folder)).load([AddConstant(3)]).values()
        assert added(address) == {3}


def test_kernels_from_elsewhere_are_not_kept(cache: ObjectCache) -> None:
    library(cache, PACKAGE).load([AddConstant(1)])
    assert files(cache) == []


def test_source_that_changed_since_its_import_keeps_nothing(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(cache).load([AddConstant(1)])
    newest = max(f.stat().st_ctime for f in tiny_kernels.FOLDER.glob("*.py"))
    monkeypatch.setattr(sources, "_IMPORTED", newest)
    library(cache).load([AddConstant(1), AddConstant(2)])
    assert len(files(cache)) == 1


def test_the_fingerprint_is_that_of_names_and_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_IMPORTED", float("inf"))
    assert fingerprint(tmp_path) is None
    seen = set()
    for name, text in (("a", "1"), ("a", "2"), ("b", ""), ("b", "\n"), ("folder/c", "1")):
        (tmp_path / f"{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        (tmp_path / "notes.txt").write_text(text, encoding="utf-8")
        seen.add(fingerprint(tmp_path))
    assert len(seen - {None}) == 5
    assert fingerprint(tmp_path) in seen


def test_a_class_lies_where_its_module_does() -> None:
    assert is_defined_in(PACKAGE, KernelLibrary)
    assert is_defined_in(PACKAGE.parent, KernelLibrary)
    assert not is_defined_in(PACKAGE, AddConstant)
    assert not is_defined_in(PACKAGE, int)


@pytest.mark.parametrize("spec", [TakeSine(), NeverEnds()])
def test_a_kernel_that_cannot_be_made_spoils_no_other(
    cache: ObjectCache, spec: TakeSine | NeverEnds
) -> None:
    kernels = library(cache)
    with pytest.raises(MachineCodeError):
        kernels.load([AddConstant(1), spec, AddConstant(2)])
    assert added(*kernels.load([AddConstant(2)]).values()) == {2}
    assert len(files(cache)) == 2


def test_memory_that_may_not_be_executed_is_an_error_of_machine_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from llvmlite import binding

    def refuse() -> None:
        raise OSError(13, "cannot allocate executable memory")

    monkeypatch.setattr(binding, "check_jit_execution", refuse)
    machine_module._host.cache_clear()
    with pytest.raises(MachineCodeError, match="cannot allocate executable memory"):
        host_machine()


def test_processes_may_write_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEC_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tiny_kernels.FOLDER))
    command = [sys.executable, "-W", "error", "-c", SEPARATE_PROCESS]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:
        assert process.communicate() == (f"{' '.join(['36'] * 8)}\n", "")
    assert len(list((tmp_path / "kernels").glob("*.kernel"))) == 8
    assert len(list((tmp_path / "kernels").iterdir())) == 8


def is_spec(node: ast.AST) -> bool:
    """Whether a class, but no protocol, has a method named emit."""
    return (
        isinstance(node, ast.ClassDef)
        and not any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
        and any(function.name == "emit" for function in functions(node))
    )


def test_what_emits_imports_nothing_that_the_fingerprint_leaves_out() -> None:
    emitting = {
        module
        for module, tree in TREES.items()
        if within(module, EVENTS) and any(map(is_spec, ast.walk(tree)))
    }
    assert emitting
    reached, new = set(emitting), set(emitting)
    while new:
        new = {
            name
            for module in new
            for name, _ in imports(TREES[module])
            if within(name, "spikec") and name != "spikec.compiler.errors"
        } - reached
        reached |= new
    check(module for module in reached if not within(module, EVENTS))
