"""The float32 network that a program stands for, for onnxruntime.

Activations are rates: a population gives max(0, (current + b) / θ), without the maximum where the
population is signed, and without a limit at φ, which would only make it slower. One pass is what
an ordinary inference of the same network costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from spikec.compiler.arrays import Array, Float32
from spikec.compiler.connections import (
    Connection,
    Conv,
    Dense,
    Factor,
    Gather,
    GlobalSum,
    Identity,
    SumPool,
    Weighted,
)
from spikec.compiler.geometry import factor_shape
from spikec.compiler.populations import AdaFire, Fire, Readout, Shape
from spikec.compiler.program import Program

OPSET, IR_VERSION = 17, 9


class Twin:
    """An ONNX graph that grows.

    Args:
        program: Of input, AdaFire populations and a read-out.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []
        self.values = {program.input.name: "input"}
        for population in program.populations:
            if isinstance(population, AdaFire | Readout):
                self.values[population.name] = self._population(population)

    def model(self) -> ModelProto:
        """From quantised inputs as float32 to scores per step."""
        value = helper.make_tensor_value_info
        inputs = value("input", TensorProto.FLOAT, ["images", *self.program.input.shape])
        name = self.values[self.program.readout.name]
        scores = value(name, TensorProto.FLOAT, ["images", *self.program.readout.shape])
        graph = helper.make_graph(self.nodes, "twin", [inputs], [scores], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        checker.check_model(model, full_check=True)
        return model

    def _population(self, population: AdaFire | Readout) -> str:
        spiking = isinstance(population, AdaFire)
        divisor = population.threshold if isinstance(population, AdaFire) else np.ones(1)
        terms = [
            self._carried(connection, divisor) for connection in self.program.into(population.name)
        ]
        bias = _mean_charge(population, self.program.timesteps)
        if bias.any():
            terms.append(self._tensor((bias / divisor)[None]))
        total = terms[0]
        for term in terms[1:]:
            total = self._node("Add", [total, term])
        signed = isinstance(population, AdaFire) and population.fire is Fire.SIGNED
        return self._node("Relu", [total]) if spiking and not signed else total

    def _carried(self, connection: Connection, divisor: Array) -> str:
        value = self.values[connection.source]
        shape = next(p.shape for p in self.program.populations if p.name == connection.source)
        last = max(n for n, f in enumerate(connection.factors) if isinstance(f, Weighted))
        for number, factor in enumerate(connection.factors):
            scale = 2.0**connection.exponent / divisor if number == last else np.ones(1)
            value = self._factor(factor, value, shape, scale)
            shape = factor_shape(factor, shape)
        return value

    def _factor(self, factor: Factor, value: str, shape: Shape, scale: Array) -> str:
        match factor:
            case Dense(weights=weights):
                matrix = self._tensor((weights * scale.reshape(-1, 1)).T)
                return self._node("MatMul", [self._node("Flatten", [value]), matrix])
            case Conv(weights=weights):
                channels = scale.reshape(-1, *(1,) * (weights.ndim - 1))
                inputs = [value, self._tensor(weights * channels)]
                windows = {k: getattr(factor, k) for k in ("strides", "pads", "dilations")}
                return self._node("Conv", inputs, **windows, group=factor.groups)
            case Identity(weights=weights):
                values = weights * scale.reshape(-1)
                return self._node("Mul", [value, self._tensor(values.reshape(1, -1, 1, 1))])
            case SumPool(kernel=kernel, strides=strides, pads=pads):
                mean = self._node(
                    "AveragePool",
                    [value],
                    kernel_shape=kernel,
                    strides=strides,
                    pads=pads,
                    count_include_pad=1,
                )
                return self._times(mean, int(np.prod(kernel)))
            case GlobalSum():
                mean = self._node("GlobalAveragePool", [value])
                return self._times(mean, int(np.prod(shape[1:])))
            case Gather(indices=indices):
                return self._gathered(indices, value)
        raise NotImplementedError(f"{type(factor).__name__} is in none of the measured networks")

    def _gathered(self, indices: Array, value: str) -> str:
        """An index map over the flattened source, one silent value behind its end."""
        flat = self._node("Flatten", [value])
        if (indices < 0).any():
            ends = self._constant(np.array([0, 0, 0, 1]))
            flat = self._node("Pad", [flat, ends])
        if not np.array_equal(indices.reshape(-1), np.arange(indices.size)):
            flat = self._node("Gather", [flat, self._constant(indices.reshape(-1))], axis=1)
        return self._node("Reshape", [flat, self._constant(np.array([-1, *indices.shape]))])

    def _times(self, value: str, count: int) -> str:
        """A sum is a mean times its count; the runtime may fold this into a convolution."""
        return self._node("Mul", [value, self._tensor(np.array(float(count)))])

    def _node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def _tensor(self, values: Array) -> str:
        return self._constant(values.astype(np.float32))

    def _constant(self, values: Array) -> str:
        name = f"c{len(self.tensors)}"
        values = values.astype(np.int64) if values.dtype.kind == "i" else values
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _mean_charge(population: AdaFire | Readout, timesteps: int) -> Array:
    """What a membrane gains per step besides its current; half a threshold remains in it."""
    if isinstance(population, Readout):
        return population.bias
    return population.bias + (population.initial - population.threshold / 2) / timesteps


def float_twin(program: Program) -> Callable[[Array], Float32]:
    """One pass of onnxruntime on one thread: quantised inputs to scores per step."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of every bias that it folds into a convolution
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        Twin(program).model().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run(inputs: Array) -> Float32:
        (scores,) = session.run(None, {"input": inputs.astype(np.float32)})
        return np.asarray(scores, np.float32)

    return run
