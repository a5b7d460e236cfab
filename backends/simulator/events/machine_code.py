"""MachineCode: kernels from LLVM's intermediate language to object files to addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from spikec.backends.simulator.events.machine import (
    WAY_OUT,
    Machine,
    MachineCodeError,
    llvm_failures,
)
from spikec.backends.simulator.events.object_symbols import undefined_symbols

if TYPE_CHECKING:
    from llvmlite.binding import ExecutionEngine, ModuleRef, TargetMachine

LEVEL = 1
"""Optimisation level of LLVM's passes and of its code generation; 2 takes longer to no effect."""

_ENGINES: list[ExecutionEngine] = []
"""Owners of all loaded code, kept until the process ends: nobody knows who holds an address."""

_DEFINITION = re.compile(r"^define .*$", re.MULTILINE)
"""The head of a function; what follows on its line are attributes."""


class MachineCode:
    """LLVM for one machine. Calls must not overlap.

    Args:
        machine: What the code is for.

    Raises:
        MachineCodeError: LLVM knows no such machine.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._target = _target_machine(machine)

    @property
    def version(self) -> str:
        """Everything besides a module that its object file depends on."""
        import llvmlite
        from llvmlite import binding

        llvm = ".".join(map(str, binding.llvm_version_info))
        machine = self.machine
        made_by = f"llvmlite {llvmlite.__version__}", f"LLVM {llvm}", f"O{LEVEL}"
        return "\n".join((*made_by, machine.triple, machine.cpu, machine.features))

    def object_file(self, module: str) -> bytes:
        """The object file of a module of complete functions.

        Raises:
            MachineCodeError: LLVM refuses the module, or calls functions to carry it out.
        """
        with llvm_failures("LLVM cannot compile a kernel"):
            content: bytes = self._target.emit_object(self._optimised(module))
        if missing := undefined_symbols(content):
            problem = f"a kernel calls {', '.join(missing)}; kernels stand alone"
            raise MachineCodeError(problem, hint=WAY_OUT)
        return content

    def assembly(self, module: str) -> str:
        """The same code in the words of the processor's manual."""
        with llvm_failures("LLVM cannot compile a kernel"):
            return str(self._target.emit_assembly(self._optimised(module)))

    def addresses(self, objects: Iterable[bytes], symbols: Iterable[str]) -> Mapping[str, int]:
        """Load object files for good, and tell where their functions are.

        Raises:
            MachineCodeError: A file cannot be loaded, or a symbol is in none of them.
        """
        from llvmlite import binding

        with llvm_failures("LLVM cannot load a kernel"):
            target = _target_machine(self.machine)  # the engine takes possession of it
            engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
            for content in objects:
                engine.add_object_file(binding.ObjectFileRef.from_data(content))
            engine.finalize_object()
            found = {symbol: int(engine.get_function_address(symbol)) for symbol in symbols}
        if absent := [symbol for symbol, address in found.items() if not address]:
            raise MachineCodeError(f"the code of {', '.join(absent)} is missing", hint=WAY_OUT)
        _ENGINES.append(engine)
        return found

    def _optimised(self, module: str) -> ModuleRef:
        from llvmlite import binding

        # Without this attribute, loops that clear or copy become calls of the C library.
        text = _DEFINITION.sub(r'\g<0> "no-builtins"', module)
        parsed = binding.parse_assembly(text, binding.create_context())
        parsed.triple = self._target.triple
        parsed.data_layout = str(self._target.target_data)
        parsed.verify()
        options = binding.create_pipeline_tuning_options(speed_level=LEVEL)
        options.loop_unrolling = False  # a quarter of all work here; what pays is emitted unrolled
        passes = binding.create_pass_builder(self._target, options)
        passes.getModulePassManager().run(parsed, passes)
        return parsed


def _target_machine(machine: Machine) -> TargetMachine:
    with llvm_failures(f"LLVM makes no code for {machine.triple}, {machine.cpu}"):
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        target = binding.Target.from_triple(machine.triple)
        # The code model of a JIT is "large": data may lie any distance from the code. Code that
        # stays where it is loaded needs no table of offsets, but macOS has no such code.
        reloc = "default" if "-apple-" in machine.triple else "static"
        return target.create_target_machine(machine.cpu, machine.features, opt=LEVEL, reloc=reloc)
