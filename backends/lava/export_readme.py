"""README.md of an export."""

from __future__ import annotations

from spikec.backends.lava.lowering import Lowered, LoweredConnection, LoweredPopulation
from spikec.backends.lava.network_source import sample_shape
from spikec.compiler.populations import AdaFire, Coding, MaxPool

_TEXT = """# A spiking network for Intel's Lava

Program {digest}, written by spikec as Lava processes. It needs Lava and NumPy, not spikec.

## Run it

Lava 0.10.0 needs Python 3.10:

```
python3.10 -m venv environment
environment/bin/pip install -r requirements.txt
environment/bin/python main.py
```

The last command runs `inputs.npy` and compares the read-out's potential after every step with
`expected.npy`, which spikec computed: every integer must be equal.

`environment/bin/python main.py INPUTS.npy --output OUTPUTS.npy` runs inputs of your own: an array
{inputs}. Floating-point numbers are what the network reads{preprocessing}, and are
quantised; whole numbers are taken as payloads, −{limit} to {limit}. A sample takes
{timesteps} time steps, and a run {latency} more: samples follow each other without a gap.

## What is in it

| file | content |
|---|---|
| `network.py` | the network: a statement per population and connection |
| `arrays/` | weights (int8), thresholds, biases, starting potentials (int32), scales |
| `processes/` | our Lava processes and their fixed-point models |
| `kernels/` | what they compute, in NumPy |
| `joining.py`, `stock.py` | connections as our processes, or as Lava's Dense, Sparse, Conv |
| `standalone.py`, `main.py` | the run |

Always run it with `Loihi2SimCfg(select_tag="fixed_pt")`: without the tag Lava picks
floating-point models. The sources are part of spikec, under the Apache License 2.0.

## Populations

Local step t of a population is time step t + depth. In every step
v ← clip(v + current + bias, ±{vmax}), n ← clip(⌊v/threshold⌋, …, φ), v ← v − n·threshold, and n is
sent: `plain` fires 0 to φ, `signed` −φ to φ, `retract` takes back at most what it has sent. A
windowed population integrates {timesteps} steps and fires in the next {timesteps}.

| name | kind | shape | depth |
|---|---|---|---|
{populations}

## Connections

Each adds one time step, or more where a shorter path has to wait for a longer one.

| from → to | process | factors | steps |
|---|---|---|---|
{connections}

These are Lava's CPU models. The network has not run on a Loihi chip.
"""


def readme(lowered: Lowered) -> str:
    """The text."""
    program = lowered.program
    frames = program.input.coding is Coding.FRAMES
    meaning = ", a frame per time step" if frames else ""
    shape = ", ".join(map(str, ("samples", *sample_shape(program))))
    preprocessed = f" (raw images after {program.preprocessing})" if program.preprocessing else ""
    return _TEXT.format(
        digest=program.digest,
        inputs=f"of shape ({shape}){meaning}",
        preprocessing=preprocessed,
        limit=2 ** (program.input.bits - 1) - 1,
        timesteps=program.timesteps,
        latency=lowered.steps(0, ()),
        vmax=f"{program.vmax:,}",
        populations="\n".join(map(_population, lowered.populations)),
        connections="\n".join(map(_connection, lowered.connections)),
    )


def _population(lowered: LoweredPopulation) -> str:
    population = lowered.population
    match population:
        case AdaFire(fire=fire, phi=phi, windowed=windowed):
            kind = f"{fire}{', windowed' if windowed else ''}, φ = {phi}"
        case MaxPool(kernel=kernel):
            kind = f"maximum of windows {kernel}"
        case _:
            kind = type(population).__name__.lower()
    return _row(population.name, kind, str(population.shape), str(lowered.depth))


def _connection(lowered: LoweredConnection) -> str:
    names = ", ".join(type(factor).__name__ for factor in lowered.connection.factors)
    exponent = lowered.connection.exponent
    shift = f", times 2^{exponent}" if exponent else ""
    factors = f"{names or 'as they are'}{shift}"
    kind = {"link": "Link"}.get(lowered.process, f"Lava's {lowered.process.capitalize()}")
    return _row(lowered.connection.name, kind, factors, str(lowered.delay))


def _row(*cells: str) -> str:
    plain = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(plain)} |"
