"""spikec: trained networks in, integer spiking programs out."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikec.compiler.errors import CompileError, CompileWarning
    from spikec.compiler.preprocessing import Preprocessing
    from spikec.compiler.program import Program
    from spikec.compiler.program_file import load
    from spikec.compiler.search_options import SearchOptions
    from spikec.runtime.compile import compile_model as compile  # noqa: A004
    from spikec.runtime.error_budget import error_budget
    from spikec.runtime.evaluate import evaluate
    from spikec.runtime.report import Report
    from spikec.runtime.session import Run, Session, run

    __version__: str

__all__ = ["CompileError", "CompileWarning", "Preprocessing", "Program", "Report", "Run"]
__all__ += ["SearchOptions", "Session", "__version__"]
__all__ += ["compile", "error_budget", "evaluate", "load", "run"]

_HOMES = {
    "CompileError": ("spikec.compiler.errors", "CompileError"),
    "CompileWarning": ("spikec.compiler.errors", "CompileWarning"),
    "Preprocessing": ("spikec.compiler.preprocessing", "Preprocessing"),
    "Program": ("spikec.compiler.program", "Program"),
    "Report": ("spikec.runtime.report", "Report"),
    "Run": ("spikec.runtime.session", "Run"),
    "SearchOptions": ("spikec.compiler.search_options", "SearchOptions"),
    "Session": ("spikec.runtime.session", "Session"),
    "compile": ("spikec.runtime.compile", "compile_model"),
    "error_budget": ("spikec.runtime.error_budget", "error_budget"),
    "evaluate": ("spikec.runtime.evaluate", "evaluate"),
    "load": ("spikec.compiler.program_file", "load"),
    "run": ("spikec.runtime.session", "run"),
}
"""Home of each public name; imported when it is first asked for: ``import spikec`` is fast."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("spikec")
    if name not in _HOMES:
        raise AttributeError(f"module 'spikec' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value: object = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
