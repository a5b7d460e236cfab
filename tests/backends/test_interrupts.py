from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tiny_programs import HIDDEN, INPUT, POPULATIONS

from spikec.backends.simulator import SimulatorBackend
from spikec.compiler.connections import Connection, Conv, Dense
from spikec.compiler.program import Program


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts raise here, where a shell's background ignores them too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_ends_a_run(threads: int) -> None:
    side = 64
    image = replace(INPUT, shape=(1, side, side))
    hidden = replace(HIDDEN, shape=(2, side, side))
    kernel = np.ones((2, 1, 3, 3), np.int8)
    conv = Conv(kernel, (1, 1), (1, 1, 1, 1), (1, 1))
    top = Dense(np.ones((3, 2 * side * side), np.int8))
    program = Program(
        (image, hidden, POPULATIONS[-1]),
        (Connection("image", "hidden", (conv,)), Connection("hidden", "scores", (top,))),
        50,
    )
    timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
    inputs = np.ones((3000, 1, side, side), np.int8)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        SimulatorBackend(threads).run(program, inputs)
    timer.join()
    assert threading.active_count() == 1
