"""place-neurons: the conversion; every linear region of the network ends in a population.

Cases, in topological order:
1. The input, or the last of the constant scales and shifts that it passes first: ``input``.
2. Relu, Clip(0, c): ``adafire`` with the rule asked for (paper 1: φ = 1; paper 2: φ > 1).
3. MaxPool: ``max_pool``; what it reads must be payloads, so a current is given a neuron first.
4. A linear map read by a layer with weights, or by more than one node: ``adafire``, signed, at the
   linear map itself (a linear bottleneck; index maps behind it stay index maps).
5. The output, in front of the host's operators (Softmax, ArgMax): ``readout``; where it is a
   population already, an Identity behind it.
"""

from __future__ import annotations

from dataclasses import replace

from spikec.compiler.channels import layerwise_populations
from spikec.compiler.errors import UnsupportedOpError
from spikec.compiler.invariants import activations_close_regions, neurons_placed, shapes_known
from spikec.compiler.ir import INPUT, Graph, GraphDraft, Neuron, Node
from spikec.compiler.ops import op_of
from spikec.compiler.ops.base import Role
from spikec.compiler.options import CompileOptions
from spikec.compiler.passes.base import Pass
from spikec.compiler.paths import has_weights, is_affine
from spikec.compiler.populations import Fire
from spikec.compiler.tail import read_out_node, tail_nodes


def place_neurons(options: CompileOptions) -> Pass:
    """The pass for T, φ and firing rule as chosen."""
    return Pass(
        "place-neurons",
        lambda graph: _apply(graph, options),
        requires=(shapes_known, activations_close_regions),
        ensures=(neurons_placed,),
        exact=True,
    )


def _apply(graph: Graph, options: CompileOptions) -> Graph:
    output = read_out_node(graph)
    if output.op == INPUT or op_of(output).role is Role.NEURON:
        graph, output = _with_identity(graph, output)
    neurons = _Placement(graph, output.name, options).neurons
    placed = graph.mapped(lambda node: node.updated(neuron=neurons.get(node.name)))
    layerwise = layerwise_populations(placed)
    return placed.mapped(
        lambda node: (
            node.updated(neuron=replace(node.neuron, per_channel=False))
            if node.neuron is not None and node.name in layerwise
            else node
        )
    )


def _with_identity(graph: Graph, output: Node) -> tuple[Graph, Node]:
    name = GraphDraft({node.name: node for node in graph}, {}, "").fresh(f"{output.name}_readout")
    identity = Node(name, "Identity", shape=output.shape)

    def edit(draft: GraphDraft) -> None:
        behind = [sink for sink in draft.consumers(output.name) if _in_tail(graph, sink)]
        draft.add(identity, {0: output.name})
        for sink in behind:
            slots = draft.operands[sink]
            draft.operands[sink] = {s: name if n == output.name else n for s, n in slots.items()}
        if draft.output == output.name:
            draft.output = name

    return graph.edited(edit), identity


def _in_tail(graph: Graph, name: str) -> bool:
    return op_of(graph[name]).role is Role.TAIL


class _Placement:
    """Which neuron stands at which node.

    ``_carries`` holds the nodes whose output is a current that has passed weights.
    """

    def __init__(self, graph: Graph, output: str, options: CompileOptions) -> None:
        self._graph = graph
        self._output = output
        self._options = options
        self._carries: set[str] = set()
        self.neurons: dict[str, Neuron] = {}
        first = self._encoded_input()
        self.neurons[first] = Neuron("input")
        for node in graph:
            if node.name not in self._ahead_of(first):
                self._visit(node)

    def _encoded_input(self) -> str:
        name = self._graph.input.name
        while name != self._output:
            readers = self._graph.consumers(name)
            if len(readers) != 1 or not is_affine(self._graph, self._graph[readers[0]]):
                break
            (name,) = readers
        return name

    def _ahead_of(self, first: str) -> set[str]:
        names, name = {first}, first
        while self._graph.sources(name):
            (name,) = self._graph.sources(name)
            names.add(name)
        return names

    def _visit(self, node: Node) -> None:
        op = op_of(node)
        if op.role is Role.TAIL:
            self._check_tail(node)
        elif op.role is Role.NEURON:
            assert op.neuron is not None
            self._activate(node, op.neuron(node))
        else:
            self._pass_on(node)

    def _check_tail(self, node: Node) -> None:
        if node not in tail_nodes(self._graph):
            raise UnsupportedOpError(
                "it stands inside the network; the host can only run it behind the read-out",
                node.where,
                "replace it by Relu, or end the model in front of it",
            )

    def _activate(self, node: Node, neuron: Neuron) -> None:
        if neuron.kind == "max_pool":
            self._settle(self._graph.sources(node.name)[0], payloads=True)
            self.neurons[node.name] = neuron
            return
        self.neurons[node.name] = replace(
            neuron, fire=self._options.fire, phi=self._options.phi, windowed=self._options.windowed
        )

    def _pass_on(self, node: Node) -> None:
        sources = self._graph.sources(node.name)
        weighted = has_weights(self._graph, node)
        if weighted:
            for source in sources:
                self._settle(source)
        if weighted or any(source in self._carries for source in sources):
            self._carries.add(node.name)
        if node.name == self._output:
            self.neurons[node.name] = Neuron("readout")
            self._carries.discard(node.name)
        elif node.name in self._carries and len(self._graph.consumers(node.name)) > 1:
            self._settle(node.name)

    def _settle(self, name: str, *, payloads: bool = False) -> None:
        """Give the current at a node a neuron; with ``payloads`` also one without weights."""
        if name in self.neurons or not (payloads or name in self._carries):
            return
        self._carries.discard(name)
        node = self._graph[name]
        if op_of(node).role is Role.INDEX_MAP:
            for source in self._graph.sources(name):
                self._settle(source, payloads=payloads)
            return
        options = self._options
        self.neurons[name] = Neuron(
            "adafire", fire=Fire.SIGNED, phi=options.phi, windowed=options.windowed
        )
