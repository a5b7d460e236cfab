"""What a program tells of channels that carry copies of others, in words."""

from __future__ import annotations

from spikec.compiler.copies import is_copy
from spikec.compiler.copy_assignment import copies_told
from spikec.compiler.program import Program


def copy_rows(program: Program) -> list[tuple[str, str]]:
    """One (what, value) line: how many channels carry copies, and neurons added; or none."""
    found = copies_told(program.provenance)
    counts = [int(is_copy(copy_of).sum()) for copy_of in found.values()]
    layers = f"{len(counts)} populations" if len(counts) > 1 else "one population"
    added = added_neurons(program)
    more = f", {added:,} neurons more" if added else ""
    return [("copies of channels", f"{sum(counts):,} in {layers}{more}")] if counts else []


def added_neurons(program: Program) -> int:
    """Neurons that the network does not have."""
    return int(program.provenance.get("added_neurons", "0"))
