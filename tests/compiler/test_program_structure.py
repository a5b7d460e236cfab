from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tiny_programs import (
    CONNECTIONS,
    CONV,
    HIDDEN,
    INPUT,
    ONE,
    POOL,
    POPULATIONS,
    SCORES,
    TOP,
    tiny_program,
    with_connection,
    with_population,
)

from spikec.compiler.connections import Connection, Conv, Dense, Gather, Identity, SumPool
from spikec.compiler.errors import ProgramError
from spikec.compiler.populations import Fire
from spikec.compiler.preprocessing import Preprocessing
from spikec.compiler.program import Program, TailOp

NAN = np.full((1, 1, 1), np.nan)
SPARE = replace(HIDDEN, name="spare")

BROKEN: dict[str, tuple[str | None, Callable[[], object]]] = {
    "zero threshold": ("hidden", lambda: with_population("hidden", threshold=ONE * 0)),
    "threshold above vmax": ("hidden", lambda: with_population("hidden", threshold=ONE * 2**23)),
    "initial beyond vmax": ("hidden", lambda: with_population("hidden", initial=ONE * -(2**23))),
    "threshold beyond int32": ("hidden", lambda: with_population("hidden", threshold=ONE * 2**40)),
    "fractional bias": ("hidden", lambda: with_population("hidden", bias=ONE / 2)),
    "text as bias": ("hidden", lambda: with_population("hidden", bias="many")),
    "nested bias": ("hidden", lambda: with_population("hidden", bias=[[1], [2, 3]])),
    "bias of another shape": (
        "hidden",
        lambda: with_population("hidden", bias=np.zeros((3, 1, 1))),
    ),
    "bias of another rank": ("hidden", lambda: with_population("hidden", bias=np.zeros(1))),
    "phi 0": ("hidden", lambda: with_population("hidden", phi=0)),
    "phi 256": ("hidden", lambda: with_population("hidden", phi=256)),
    "phi true": ("hidden", lambda: with_population("hidden", phi=True)),
    "fractional phi": ("hidden", lambda: with_population("hidden", phi=1.5)),
    "unknown rule": ("hidden", lambda: with_population("hidden", fire="loud")),
    "windowed as number": ("hidden", lambda: with_population("hidden", windowed=1)),
    "windowed retract": (
        "hidden",
        lambda: with_population("hidden", windowed=True, fire=Fire.RETRACT),
    ),
    "empty shape": ("hidden", lambda: with_population("hidden", shape=())),
    "shape with 0": ("hidden", lambda: with_population("hidden", shape=(2, 0, 4))),
    "shape as number": ("hidden", lambda: with_population("hidden", shape=4)),
    "negative scale": ("hidden", lambda: with_population("hidden", scale=-ONE)),
    "scale NaN": ("image", lambda: with_population("image", scale=NAN)),
    "gain NaN": ("image", lambda: with_population("image", gain=NAN)),
    "offset infinite": ("image", lambda: with_population("image", offset=ONE * np.inf)),
    "1 input bit": ("image", lambda: with_population("image", bits=1)),
    "17 input bits": ("image", lambda: with_population("image", bits=17)),
    "unknown coding": ("image", lambda: with_population("image", coding="rate")),
    "pool of another shape": ("pool", lambda: with_population("pool", shape=(2, 3, 2))),
    "pool stride 0": ("pool", lambda: with_population("pool", strides=(0, 2))),
    "pool negative pad": ("pool", lambda: with_population("pool", pads=(-1, 0, 0, 0))),
    "pool window of padding": (
        "pool",
        lambda: with_population("pool", pads=(2, 0, 0, 0), shape=(2, 3, 2)),
    ),
    "pool kernel too large": ("pool", lambda: with_population("pool", kernel=(5, 5))),
    "read-out bias shape": ("scores", lambda: with_population("scores", bias=np.zeros(2))),
    "two of a name": ("hidden", lambda: tiny_program(populations=(*POPULATIONS, HIDDEN))),
    "no name": ("", lambda: with_population("hidden", name="")),
    "unprintable name": ("a\nb", lambda: with_population("hidden", name="a\nb")),
    "surrogate in name": ("\ud800", lambda: with_population("hidden", name="\ud800")),
    "number as name": (None, lambda: with_population("hidden", name=7)),
    "no input": (None, lambda: tiny_program(populations=POPULATIONS[1:])),
    "two inputs": (
        None,
        lambda: tiny_program(populations=(*POPULATIONS, replace(INPUT, name="more"))),
    ),
    "input not first": (None, lambda: tiny_program(populations=(HIDDEN, INPUT, POOL, SCORES))),
    "two read-outs": (
        None,
        lambda: tiny_program(populations=(*POPULATIONS, replace(SCORES, name="more"))),
    ),
    "no populations": (None, lambda: tiny_program(populations=())),
    "something else as population": (None, lambda: tiny_program(populations=(INPUT, 5, SCORES))),
    "wrong order": (
        "hidden→pool",
        lambda: tiny_program(populations=(INPUT, POOL, HIDDEN, SCORES)),
    ),
    "unknown source": ("nobody→hidden", lambda: with_connection("image→hidden", source="nobody")),
    "unknown sink": ("image→nobody", lambda: with_connection("image→hidden", sink="nobody")),
    "into the input": (
        "hidden→image",
        lambda: tiny_program(connections=(*CONNECTIONS, Connection("hidden", "image", ()))),
    ),
    "out of the read-out": (
        "scores→hidden",
        lambda: tiny_program(connections=(*CONNECTIONS, Connection("scores", "hidden", ()))),
    ),
    "silent population": (
        "pool",
        lambda: tiny_program(connections=(CONNECTIONS[0], CONNECTIONS[2])),
    ),
    "population for nothing": (
        "spare",
        lambda: tiny_program(
            populations=(*POPULATIONS, SPARE),
            connections=(*CONNECTIONS, Connection("image", "spare", (CONV,))),
        ),
    ),
    "exponent 25": ("pool→scores", lambda: with_connection("pool→scores", exponent=25)),
    "exponent −1": ("pool→scores", lambda: with_connection("pool→scores", exponent=-1)),
    "weight −128": (
        "pool→scores",
        lambda: with_connection("pool→scores", factors=(Dense(np.full((3, 8), -128, np.int8)),)),
    ),
    "weight 128": (None, lambda: Dense(np.array([[128]]))),
    "fractional weight": (None, lambda: Identity(np.array([0.5]))),
    "weight NaN": (None, lambda: Identity(np.array([np.nan]))),
    "text as stride": (None, lambda: SumPool(("a",), (1,), (0, 0), (1,))),
    "dense of another size": (
        "pool→scores",
        lambda: with_connection("pool→scores", factors=(TOP,)),
    ),
    "result of another shape": (
        "image→hidden",
        lambda: with_connection("image→hidden", factors=()),
    ),
    "conv of other channels": (
        "image→hidden",
        lambda: with_connection(
            "image→hidden", factors=(replace(CONV, weights=np.ones((2, 3, 3, 3))),)
        ),
    ),
    "conv in 2 groups": (
        "image→hidden",
        lambda: with_connection("image→hidden", factors=(replace(CONV, groups=2),)),
    ),
    "conv with one stride": (
        "image→hidden",
        lambda: with_connection("image→hidden", factors=(replace(CONV, strides=(1,)),)),
    ),
    "gather past the end": (
        "image→hidden",
        lambda: with_connection("image→hidden", factors=(Gather(np.full((2, 4, 4), 16)),)),
    ),
    "gather −2": (
        "image→hidden",
        lambda: with_connection("image→hidden", factors=(Gather(np.full((2, 4, 4), -2)),)),
    ),
    "weights into a pool": (
        "hidden→pool",
        lambda: with_connection("hidden→pool", factors=(Identity(np.ones(2)),)),
    ),
    "shift into a pool": ("hidden→pool", lambda: with_connection("hidden→pool", exponent=1)),
    "T = 0": (None, lambda: tiny_program(timesteps=0)),
    "T = 65,536": (None, lambda: tiny_program(timesteps=65_536)),
    "T fractional": (None, lambda: tiny_program(timesteps=2.5)),
    "7 membrane bits": (None, lambda: tiny_program(membrane_bits=7)),
    "33 membrane bits": (None, lambda: tiny_program(membrane_bits=33)),
    "unknown tail": (None, lambda: TailOp("Gelu")),
    "number as target": (None, lambda: tiny_program(target=7)),
    "provenance of numbers": (None, lambda: tiny_program(provenance={"year": 2020})),
    "std 0": (
        "preprocessing",
        lambda: tiny_program(preprocessing=Preprocessing(std=(0.0,))),
    ),
    "crop 0": (
        "preprocessing",
        lambda: tiny_program(preprocessing=Preprocessing(crop=(0, 4))),
    ),
    "unknown layout": (
        "preprocessing",
        lambda: tiny_program(preprocessing=Preprocessing(layout="whc")),
    ),
    "infinite scale": (
        "preprocessing",
        lambda: tiny_program(preprocessing=Preprocessing(scale=float("inf"))),
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_program_that_breaks_a_rule_is_refused_by_name(rule: str) -> None:
    node, build = BROKEN[rule]
    with pytest.raises(ProgramError) as caught:
        build()
    assert caught.value.where.node == node


def test_a_valid_program_keeps_its_parts() -> None:
    program = tiny_program(timesteps=np.int64(4), populations=list(POPULATIONS))
    assert program.timesteps == 4
    assert type(program.timesteps) is int
    assert program.populations == POPULATIONS
    assert program.vmax == 8_388_607
    assert (program.input, program.readout) == (INPUT, SCORES)
    assert program.into("pool") == (CONNECTIONS[1],)
    assert program.out_of("pool") == (CONNECTIONS[2],)


def test_arrays_of_a_program_cannot_be_changed() -> None:
    weights = np.ones((2, 1, 3, 3), np.int8)
    program = with_connection("image→hidden", factors=(replace(CONV, weights=weights),))
    weights[:] = 5
    factor = program.connections[0].factors[0]
    assert isinstance(factor, Conv)
    assert factor.weights.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        factor.weights[0] = 3


def test_the_widest_numbers_are_accepted() -> None:
    extreme = with_population(
        "hidden", threshold=ONE * (2**23 - 1), initial=-ONE * (2**23 - 1), phi=255
    )
    assert isinstance(extreme, Program)
    assert with_population("image", bits=16).input.bits == 16
    assert tiny_program(timesteps=65_535, membrane_bits=32).vmax == 2**31 - 1
