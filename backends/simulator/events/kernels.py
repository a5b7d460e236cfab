"""KernelLibrary: the addresses of kernels, each compiled once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar

from spikec.backends.simulator.events.machine import Machine, MachineCodeError
from spikec.backends.simulator.events.machine_code import MachineCode

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
            _LIBRARIES[machine] = KernelLibrary(machine)
        return _LIBRARIES[machine]


class KernelLibrary:
    """Kernels of one machine; any thread may ask for them. Addresses live as long as the library.

    Args:
        machine: What the kernels are for.

    Raises:
        MachineCodeError: LLVM knows no such machine.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._code = MachineCode(machine)
        self._addresses: dict[str, int] = {}
        self._lock = Lock()

    def load(self, specs: Iterable[Spec]) -> Mapping[Spec, int]:
        """The address of every kernel; those that are not there yet are made.

        Raises:
            MachineCodeError: LLVM cannot make one of them.
        """
        names = {spec: spec.name for spec in specs}
        with self._lock:
            missing = {n: s for s, n in names.items() if n not in self._addresses}
            if missing:
                objects = [self._code.object_file(_module(spec)) for spec in missing.values()]
                self._addresses |= self._code.addresses(objects, missing)
        return {spec: self._addresses[name] for spec, name in names.items()}


def _module(spec: KernelSpec) -> str:
    """The module of one kernel, in text."""
    from llvmlite import ir

    module = ir.Module(spec.name)
    spec.emit(module)
    return str(module)
