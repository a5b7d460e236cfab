"""Comparison of whole runs, integer by integer."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from spikec.backends.base import BackendRun
from spikec.compiler.program import Program


def names(program: Program) -> frozenset[str]:
    """All populations, to record them."""
    return frozenset(population.name for population in program.populations)


def assert_equal(actual: BackendRun, expected: BackendRun) -> None:
    """Every spike, membrane, read-out potential and count."""
    np.testing.assert_array_equal(actual.readout, expected.readout, "readout")
    for kind in ("spikes", "membranes"):
        ours, theirs = getattr(actual, kind), getattr(expected, kind)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            np.testing.assert_array_equal(ours[name], values, f"{kind} of {name}")
    assert actual.populations.keys() == expected.populations.keys()
    pairs = [(name, actual.populations[name], c) for name, c in expected.populations.items()]
    both = zip(actual.connections, expected.connections, strict=True)
    for name, ours, theirs in [*pairs, *((n, a, b) for n, (a, b) in enumerate(both))]:
        for field in fields(theirs):
            np.testing.assert_array_equal(
                getattr(ours, field.name), getattr(theirs, field.name), f"{field.name} of {name}"
            )


def piece(run: BackendRun, images: np.ndarray, steps: slice) -> BackendRun:
    """Some images and steps of a run, counts and read-out only."""

    def cut(counts: object) -> dict[str, object]:
        arrays = {field.name: getattr(counts, field.name) for field in fields(counts)}  # type: ignore[arg-type]
        return {
            name: values[images, steps] if isinstance(values, np.ndarray) else values
            for name, values in arrays.items()
        }

    return BackendRun(
        readout=run.readout[images, steps],
        populations={name: type(c)(**cut(c)) for name, c in run.populations.items()},  # type: ignore[arg-type]
        connections=tuple(type(c)(**cut(c)) for c in run.connections),  # type: ignore[arg-type]
        spikes={},
        membranes={},
    )
