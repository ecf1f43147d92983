"""Nodes of a Ray cluster: which one a suite means by a name, and what it says of its runtimes. Knows no stages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdbench.errors import MeasureError
from kdbench.run.executors import NoNode
from kdbench.stages.failure_text import sentence
from kdbench.suite.form import MeasureEntry
from kdbench.suite.targets import interpreters_of
from kdbench.timing import probe
from kdbench.timing.machine import Machine

Node = Mapping[str, Any]
"""What Ray says of a node."""


def alive() -> dict[str, Node]:
    """Id -> node, for all that are alive in the cluster that was joined."""
    import ray

    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}


def on(node: str) -> Any:
    """The strategy by which Ray runs a task on the node of an id, or not at all."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def find(name: str, nodes: Mapping[str, Node]) -> str:
    """The id of the node that a name means. Raises NoNode, with the nodes there are, for none or several."""
    found = [node for node, said in nodes.items() if name in _names(said)]
    if len(found) == 1:
        return found[0]
    there = "; ".join(sorted(", ".join(_names(said)) for said in nodes.values()))
    count = f"{len(found)} nodes of the cluster are" if found else "no node of the cluster that is alive is"
    raise NoNode(name, f"{count} called '{name}'; its nodes, by all their names: {there}.")


def _names(node: Node) -> list[str]:
    """What a suite may call a node: its address, its host, resources of its own making, values of its labels."""
    own = (name for name in node["Resources"] if not _is_rays(name))
    labels = (value for key, value in node.get("Labels", {}).items() if not key.startswith("ray.io/"))
    return list(dict.fromkeys([node["NodeManagerAddress"], node["NodeManagerHostname"], *own, *labels]))


def _is_rays(resource: str) -> bool:
    return resource in ("CPU", "GPU", "memory", "object_store_memory") or ":" in resource


def machines(entries: Sequence[MeasureEntry]) -> dict[str, Machine]:
    """Name -> what each named node says of itself, in the cluster that was joined. Raises NoNode."""
    import ray

    nodes, ask = alive(), ray.remote(described)
    named: dict[str, list[MeasureEntry]] = {}
    for entry in entries:
        if entry.node:
            named.setdefault(entry.node, []).append(entry)
    places = {name: find(name, nodes) for name in named}
    asked = {
        name: ask.options(scheduling_strategy=on(places[name]), num_cpus=0).remote(interpreters_of(tuple(own))[:2])
        for name, own in named.items()
    }
    return {name: _answer(name, reference) for name, reference in asked.items()}


def described(interpreters: tuple[Iterable[Any], Iterable[Any]]) -> Machine:
    """The machine that this runs on, with the interpreters that measure with onnxruntime and those with others."""
    return probe.machine(*interpreters)


def _answer(name: str, reference: Any) -> Machine:
    import ray

    try:
        machine: Machine = ray.get(reference)
        return machine
    except ray.exceptions.RayTaskError as error:
        cause = error.cause or error
        told = str(cause) if isinstance(cause, MeasureError) else sentence(cause)
        raise NoNode(name, f"the node {name} cannot measure: {told}") from None
    except ray.exceptions.RayError as error:
        raise NoNode(name, f"the node {name} was lost while it was asked ({type(error).__name__}).") from None
