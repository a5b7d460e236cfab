"""KernelLibrary: the addresses of kernels, each compiled once.

Kernels are kept in a cache under a key that is known before they are emitted, so that a later
process does not emit them. It is sound because nothing else determines their code:

- the spec: its class, and its fields by its name, which is unique to them;
- the source text of everything that emits: the spec's class must lie in this package, whose
  emitting modules import nothing else of spikec, and whose files must be older than the process;
- llvmlite and LLVM, by their versions, and the optimisation level;
- the target: triple, processor and features.

There is a file per kernel, not one per network, because networks share most of their kernels; to
read 40 files takes 2 ms longer than to read one, and all are loaded by one engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar

from spikec.backends.simulator.events.cache import ObjectCache, user_cache
from spikec.backends.simulator.events.machine import Machine, MachineCodeError
from spikec.backends.simulator.events.machine_code import MachineCode
from spikec.backends.simulator.events.sources import PACKAGE, fingerprint, is_defined_in

if TYPE_CHECKING:
    from llvmlite import ir

__all__ = ["KernelLibrary", "KernelSpec", "MachineCodeError", "kernel_library"]


class KernelSpec(Hashable, Protocol):
    """What a kernel is to do: a frozen dataclass, whose fields alone determine the code."""

    @property
    def name(self) -> str:
        """A symbol that no kernel with other fields, or of another class, has."""
        ...

    def emit(self, module: ir.Module) -> None:
        """Add the function of that name to a module; it calls no other function."""
        ...


Spec = TypeVar("Spec", bound=KernelSpec)

_LIBRARIES: dict[Machine, KernelLibrary] = {}
_LOCK = Lock()


def kernel_library(machine: Machine) -> KernelLibrary:
    """The library that all of this process shares; it is kept for good.

    Raises:
        MachineCodeError: LLVM knows no such machine.
    """
    with _LOCK:
        if machine not in _LIBRARIES:
            _LIBRARIES[machine] = KernelLibrary(machine, user_cache())
        return _LIBRARIES[machine]


class KernelLibrary:
    """Kernels of one machine. Any thread may ask for them; addresses hold until the process ends.

    Args:
        machine: What the kernels are for.
        cache: Keeps them for other processes.
        generators: Folder of the source files of everything that emits.

    Raises:
        MachineCodeError: LLVM knows no such machine.
    """

    def __init__(
        self, machine: Machine, cache: ObjectCache | None = None, generators: Path = PACKAGE
    ) -> None:
        self.machine = machine
        self._code = MachineCode(machine)
        self._cache = cache or ObjectCache(None)
        self._generators = generators
        self._addresses: dict[KernelSpec, int] = {}
        self._names: set[str] = set()
        self._lock = Lock()

    def load(self, specs: Iterable[Spec]) -> Mapping[Spec, int]:
        """The address of every kernel; those that are not there yet are made.

        Raises:
            MachineCodeError: LLVM cannot make one of them.
            ValueError: Two of them have the same name.
        """
        wanted = dict.fromkeys(specs)
        with self._lock:
            missing = {spec: spec.name for spec in wanted if spec not in self._addresses}
            if missing:
                self._add(missing)
            return {spec: self._addresses[spec] for spec in wanted}

    def _add(self, missing: Mapping[Spec, str]) -> None:
        names = [*missing.values()]
        if twice := {name for name in names if name in self._names or names.count(name) > 1}:
            raise ValueError(f"different kernels are named {', '.join(sorted(twice))}")
        version = self._version()
        objects = [self._object_file(spec, version) for spec in missing]
        found = self._code.addresses(objects, names)
        self._addresses |= {spec: found[name] for spec, name in missing.items()}
        self._names.update(names)

    def _version(self) -> str | None:
        """All that code depends on besides its spec; None if it cannot be told."""
        sources = fingerprint(self._generators)
        return sources and f"{sources}\n{self._code.version}"

    def _object_file(self, spec: KernelSpec, version: str | None) -> bytes:
        if version is None or not is_defined_in(self._generators, type(spec)):
            return self._code.object_file(_module(spec))
        kind = type(spec)
        subject = f"{kind.__module__}.{kind.__qualname__}\n{spec.name}\n{version}"
        key = hashlib.sha256(subject.encode()).hexdigest()
        content = self._cache.read(key)
        if content is None:
            content = self._code.object_file(_module(spec))
            self._cache.write(key, content)
        return content


def _module(spec: KernelSpec) -> str:
    """The module of one kernel, in text."""
    from llvmlite import ir

    module = ir.Module(spec.name)
    spec.emit(module)
    return str(module)
