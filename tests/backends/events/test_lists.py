"""Kernels that list events, against what NumPy finds."""

from __future__ import annotations

import numpy as np
import pytest
from machine_code import EACH_MACHINE, Call, Operand, pack

from spikec.backends.simulator.events.lists import COMPRESS, SLACK, Lists
from spikec.backends.simulator.events.machine import Machine


@EACH_MACHINE
@pytest.mark.parametrize("density", [0, 0.02, 0.5, 1])
@pytest.mark.parametrize("index", [16, 32])
@pytest.mark.parametrize("masked", [False, True])
def test_lists_name_the_channels_of_every_pixel(
    machine: Machine, density: float, index: int, masked: bool
) -> None:
    rng, channels = np.random.default_rng(3), 192
    events, shown = rng.random((7, channels)) < density, rng.random(channels) < 0.5
    masks = pack(shown)
    kept = events & shown if masked else events
    for compressed in (False, True):
        if compressed and (index == 32 or not machine.has(COMPRESS)):
            continue
        positions = np.full(9, -5, np.int32)
        entries = np.full(kept.sum() + SLACK + 1, -7, f"i{index // 8}")
        arrays = {"bits": pack(events), "positions": positions, "entries": entries, "masks": masks}
        operands = {name: Operand(array) for name, array in arrays.items()}
        spec = Lists(index, masked, compressed)
        whole = {"rows": 1, "columns": 7, "window_rows": 1, "window_columns": 1}
        sizes = {"words": channels // 64, "column_bytes": channels // 8}
        Call(spec, operands, {**whole, **sizes, "row_bytes": 0, "window_row_bytes": 0}).run(machine)
        assert positions.tolist() == [0, *kept.sum(axis=1).cumsum().tolist(), -5]
        listed = [np.flatnonzero(row) for row in kept]
        np.testing.assert_array_equal(entries[: kept.sum()], np.concatenate(listed))
        assert entries[-1] == -7


@EACH_MACHINE
@pytest.mark.parametrize("window", [(2, 2), (1, 3), (3, 1)])
def test_lists_of_windows_have_the_channels_of_all_their_pixels(
    machine: Machine, window: tuple[int, int]
) -> None:
    rng, channels, (rows, columns) = np.random.default_rng(5), 128, (2, 3)
    down, right = window
    shape = (rows * down + 1, columns * right + 2)  # what is behind the last windows is left out
    events = rng.random((*shape, channels)) < 0.1
    inside = events[: rows * down, : columns * right]
    windows = inside.reshape(rows, down, columns, right, channels).swapaxes(1, 2)
    listed = [
        np.nonzero(w.reshape(-1, channels))[1] for w in windows.reshape(-1, *window, channels)
    ]
    arrays = {
        "bits": pack(events.reshape(-1, channels)),
        "positions": np.full(rows * columns + 1, -5, np.int32),
        "entries": np.full(inside.sum() + SLACK, -7, np.int16),
        "masks": pack(np.ones(channels, bool)),
    }
    operands = {name: Operand(array) for name, array in arrays.items()}
    pixel = channels // 8
    numbers = {
        "rows": rows, "columns": columns, "words": channels // 64,
        "window_rows": down, "window_columns": right, "window_row_bytes": shape[1] * pixel,
        "row_bytes": down * shape[1] * pixel, "column_bytes": right * pixel,
    }  # fmt: skip
    Call(Lists(16, False, machine.has(COMPRESS)), operands, numbers).run(machine)
    ends = np.cumsum([len(channels) for channels in listed])
    assert arrays["positions"].tolist() == [0, *ends.tolist()]
    np.testing.assert_array_equal(arrays["entries"][: ends[-1]], np.concatenate(listed))
