"""The graph of a model file made safe to walk: unique names, values that exist, nodes in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import onnx

from spikec.compiler.errors import ModelFileError, Where


def where(node: onnx.NodeProto) -> Where:
    """For errors."""
    return Where(node.name, node.op_type)


def reads(node: onnx.NodeProto) -> tuple[str, ...]:
    """Values that a node reads, those of its subgraphs included; absent operands left out."""
    return tuple(dict.fromkeys(v for v in (*node.input, *_captured(node)) if v))


def _captured(node: onnx.NodeProto) -> Iterator[str]:
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            inner = {v.name for v in (*graph.input, *graph.initializer)}
            inner.update(v for child in graph.node for v in child.output)
            outer = (v for child in graph.node for v in reads(child))
            yield from (v for v in outer if v not in inner)


def constants(graph: onnx.GraphProto) -> set[str]:
    """Names of the initializers."""
    return {tensor.name for tensor in graph.initializer}


def inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no initializers."""
    fixed = constants(graph)
    return [value for value in graph.input if value.name not in fixed]


def check_text(graph: onnx.GraphProto) -> None:
    """Nothing if all names are text.

    Raises:
        ModelFileError: A damaged file; protobuf hands out what is no UTF-8 as bytes.
    """
    names = [value.name for value in (*graph.input, *graph.output, *graph.initializer)]
    for node in graph.node:
        names += (node.name, node.op_type, node.domain, *node.input, *node.output)
        names += (attribute.name for attribute in node.attribute)
    broken = [name for name in names if not isinstance(name, str)]
    if broken:
        raise ModelFileError(
            f"holds the name {broken[0]!r}, which is no text",
            hint="download or export it again; the file is damaged",
        )


def name_nodes(graph: onnx.GraphProto) -> None:
    """Afterwards every node has a name of its own, different from the input's.

    An unnamed node is called by its operator and its position; of nodes with one name, the later
    ones get a number.
    """
    taken = {value.name for value in graph.input}
    given = {node.name for node in graph.node}
    for position, node in enumerate(graph.node):
        stem = node.name or f"{node.op_type}_{position}"
        if not node.name or stem in taken:
            node.name = _fresh(stem, taken | given)
        taken.add(node.name)


def _fresh(stem: str, taken: set[str]) -> str:
    number = 0
    while (name := f"{stem}_{number}" if number else stem) in taken:
        number += 1
    return name


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Afterwards every node stands behind those that it reads, otherwise in the file's order.

    Raises:
        ModelFileError: A value is missing, has two makers, or depends on itself; names the node.
    """
    maker = _makers(graph)
    known = constants(graph) | {value.name for value in graph.input}
    sources: list[set[int]] = []
    for node in graph.node:
        missing = [v for v in reads(node) if v not in known and v not in maker]
        if missing:
            raise ModelFileError(
                f"reads '{missing[0]}', which no node, input or initializer provides",
                where(node),
                "export the model again; the file is incomplete",
            )
        sources.append({maker[v] for v in reads(node) if v in maker})
    order = _topological(sources)
    if len(order) < len(sources):
        node = graph.node[_on_cycle(sources, set(range(len(sources))) - set(order))]
        raise ModelFileError(
            "depends on its own output: the graph has a cycle",
            where(node),
            "a program has no recurrent connections; unroll or remove the loop",
        )
    _missing_outputs(graph, known | set(maker))
    nodes = [graph.node[position] for position in order]
    if order != sorted(order):
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def _makers(graph: onnx.GraphProto) -> dict[str, int]:
    makers: dict[str, int] = {}
    fixed = constants(graph) | {value.name for value in graph.input}
    for position, node in enumerate(graph.node):
        for value in filter(None, node.output):
            if value in makers or value in fixed:
                raise ModelFileError(f"makes '{value}', which exists already", where(node))
            makers[value] = position
    return makers


def _missing_outputs(graph: onnx.GraphProto, known: Iterable[str]) -> None:
    for value in graph.output:
        if value.name not in known:
            raise ModelFileError("is an output of the graph that no node makes", Where(value.name))


def _topological(sources: list[set[int]]) -> list[int]:
    waiting = [len(found) for found in sources]
    sinks: list[list[int]] = [[] for _ in sources]
    for sink, found in enumerate(sources):
        for source in found:
            sinks[source].append(sink)
    ready = [position for position, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        position = heapq.heappop(ready)
        order.append(position)
        for sink in sinks[position]:
            waiting[sink] -= 1
            if waiting[sink] == 0:
                heapq.heappush(ready, sink)
    return order


def _on_cycle(sources: list[set[int]], left: set[int]) -> int:
    """A node on a cycle: walking backwards among the nodes that are left must come to one twice."""
    position, seen = min(left), set()
    while position not in seen:
        seen.add(position)
        position = min(sources[position] & left)
    return position
