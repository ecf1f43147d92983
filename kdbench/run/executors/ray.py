"""The executor `ray`: stages as tasks on the machines of a Ray cluster.

Without an address it joins the cluster that RAY_ADDRESS names, else one that runs on this machine, else it starts one
here that ends with the run. Trainings, exports and the rest go wherever cores are free. Files are evaluated and timed
on the node that their measure entry names, else on the one that the run was started on: the plan has asked it for its
runtimes and fingerprint. To be timed a file gets all its cores, so that no other task of the cluster runs beside it.

A task whose worker or node is lost runs again (RETRIES times), from its last checkpoint.

Nodes may see the store's folder, at the same path; those that do not work in a store of their own, and artefacts pass
through Ray's object store (`ray_away`). What reads the user's files then runs where the run was started.
"""

import hashlib
import importlib.util
import logging
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kdbench.errors import KdbenchError
from kdbench.files import write_whole
from kdbench.run.executors import Executor, NoNode, left_by_dead, ray_nodes
from kdbench.run.executors.ray_away import run_on_node
from kdbench.run.executors.ray_shelf import Shelf
from kdbench.stages.failure_text import sentence
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import Outcome
from kdbench.suite.form import MeasureEntry
from kdbench.timing.machine import Machine

RETRIES = 2
"""How often a task runs again whose worker or node was lost; what kills three workers is to blame itself."""
SECONDS_TO_ANSWER = 5
"""How long the head of a cluster may take to be reached."""
SECONDS_TO_END = 30
"""How long `close` waits for workers that it has killed."""
HERE = ("convert", "evaluate", "measure")
"""Kinds of stages that run on the machine whose runtimes the plan has asked: a target's node, or where the run is."""
READING = ("decode", "gather", "adopt")
"""Kinds of stages that read the user's files, which other nodes than this may lack."""
SIDE_BY_SIDE = 8
"""Files that are sent to and from the store at once."""
PACKAGES = ("kdbench", "torch", "numpy", "onnx", "onnxruntime")
"""What must be the same on every node: keys of stages name these versions as they are where the run was started."""


class RayExecutor(Executor):
    """Runs lists of stages as tasks of a Ray cluster, each with the cores and accelerators that its stages ask for."""

    def __init__(self, store: Path, jobs: int | None = None, threads: int = 1, address: str | None = None) -> None:
        """Raises KdbenchError where Ray is missing, no cluster answers, or a node lacks a version."""
        ray = import_ray()
        self._ray = ray
        self._flying: set[Any] = set()
        self._lock = threading.Lock()
        root = Store(store).root.absolute()
        named = hashlib.sha256(f"{socket.gethostname()}:{root}".encode()).hexdigest()[:16]
        self._mark = root / "locks" / f"{named}.{secrets.token_hex(8)}"
        """A file by which a node tells whether it sees the store."""
        _join(address)
        with ExitStack() as undone:
            undone.callback(self.close)
            write_whole(self._mark, "")
            self._here = ray.get_runtime_context().get_node_id()
            self._all_see_it = self._asked_nodes()
            self._run = ray.remote(run_on_node)
            shelf = ray.remote(num_cpus=0, max_concurrency=SIDE_BY_SIDE)(Shelf)
            self._shelf = shelf.options(scheduling_strategy=ray_nodes.on(self._here)).remote(str(root))
            super().__init__(root, jobs, threads, address)
            undone.pop_all()

    @classmethod
    def machines(cls, entries: Sequence[MeasureEntry], address: str | None) -> dict[str, Machine]:
        """What each node that measure entries name says of itself. No cluster is joined where none is named."""
        if not any(entry.node for entry in entries):
            return {}
        import_ray()
        _join(address)
        try:
            return ray_nodes.machines(entries)
        finally:
            import_ray().shutdown()

    def cores(self) -> int:
        """Cores of all nodes."""
        return int(self._ray.cluster_resources().get("CPU", 1))

    def submit(self, specs: list[StageSpec]) -> "Future[list[Outcome]]":
        answer: Future[list[Outcome]] = Future()
        try:
            resources = self._resources(specs)
        except NoNode as error:
            answer.set_result([Outcome(spec.key, "failed", str(error)) for spec in specs])
            return answer
        names = ", ".join(dict.fromkeys(spec.kind for spec in specs))
        task = self._run.options(name=names, max_retries=RETRIES, **resources)
        reference = task.remote([spec.to_json() for spec in specs], str(self.store), self._mark.name, self._shelf)
        with self._lock:
            self._flying.add(reference)
        reference.future().add_done_callback(lambda done: self._settle(reference, specs, done, answer))
        return answer

    def close(self) -> None:
        with self._lock:
            left, self._flying = list(self._flying), set()
        for reference in left:
            self._ray.cancel(reference, force=True)
        if left:
            self._ray.wait(left, num_returns=len(left), timeout=SECONDS_TO_END)
        self._ray.shutdown()
        self._mark.unlink(missing_ok=True)

    def _resources(self, specs: list[StageSpec]) -> dict[str, Any]:
        """Cores and accelerators of a list, and the node that it must run on. Raises NoNode where that has gone.

        No more cores than a node has, for which Ray would wait without end: the head of a cluster often has none.
        """
        nodes = ray_nodes.alive()
        cores = {node: said["Resources"].get("CPU", 0) for node, said in nodes.items()}
        parts = [part for spec in specs for part in spec.parts.values()]
        threads = [part.fields.get("threads", 1) for part in parts if part.kind == "recipe"]
        found: dict[str, Any] = {"num_cpus": min(max(threads, default=1), max(cores.values()))}
        if any(str(spec.numerics.get("device", "cpu")).startswith("cuda") for spec in specs):
            found["num_gpus"] = 1
        if any(spec.kind in HERE or (not self._all_see_it and reads_files(spec)) for spec in specs):
            name = next((name for spec in specs if (name := spec.settings.get("target", {}).get("node"))), None)
            place = ray_nodes.find(name, nodes) if name else self._here
            found |= {"scheduling_strategy": ray_nodes.on(place), "num_cpus": min(found["num_cpus"], cores[place])}
            if any(spec.kind == "measure" for spec in specs):
                found["num_cpus"] = cores[place]
        return found

    def _settle(
        self, reference: Any, specs: list[StageSpec], done: Future[Any], answer: "Future[list[Outcome]]"
    ) -> None:
        with self._lock:
            self._flying.discard(reference)
        error = done.exception()
        if error is None:
            answer.set_result(done.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):  # run_stages raises nothing: it could not be called
            answer.set_result([Outcome(spec.key, "failed", sentence(error.cause or error)) for spec in specs])
        else:
            death = f"its worker on the cluster was lost {RETRIES + 1} times ({type(error).__name__}); run again."
            answer.set_result([left_by_dead(self.store, spec, death) for spec in specs])

    def _answer(self, node: str, reference: Any) -> "Facts | None":
        """What a node says; None where it has gone meanwhile. Raises KdbenchError where it cannot run kdbench."""
        try:
            facts: Facts = self._ray.get(reference)
            return facts
        except self._ray.exceptions.RayTaskError as error:
            raise KdbenchError(f"a node of the cluster cannot run kdbench: {sentence(error.cause or error)}") from None
        except self._ray.exceptions.RayError:
            if node in ray_nodes.alive():
                raise
            return None

    def _asked_nodes(self) -> bool:
        """Whether every node sees the store. Raises KdbenchError for one with another version of what keys name."""
        ask = self._ray.remote(facts_of_node)
        asked = {
            node: ask.options(scheduling_strategy=ray_nodes.on(node), num_cpus=0).remote(str(self._mark))
            for node in ray_nodes.alive()
        }
        facts = {node: said for node, reference in asked.items() if (said := self._answer(node, reference))}
        names = {node: said["NodeManagerAddress"] for node, said in ray_nodes.alive().items()}
        refuse_strange({node: versions for node, (_, versions) in facts.items()}, self._here, names)
        return all(sees for sees, _ in facts.values())


Facts = tuple[bool, dict[str, str]]
"""Whether a node sees the store, and the versions of PACKAGES there."""


def reads_files(spec: StageSpec) -> bool:
    """Whether a stage reads files of the user's: its data, or what a part beside the task names."""
    parts = (part for role, part in spec.parts.items() if role != "task")
    return spec.kind in READING or any(part.keyed_by not in (None, part.fields) for part in parts)


def refuse_strange(versions: Mapping[str, Mapping[str, str]], here: str, names: Mapping[str, str]) -> None:
    """Raises KdbenchError for a node that has another version of something than the node `here`."""
    for node, found in versions.items():
        for package, own in versions[here].items():
            if found[package] != own:
                raise KdbenchError(
                    f"the node {names[node]} has {package} {found[package]}, and this one {own}; install the same "
                    "version on both."
                )


def facts_of_node(mark: str) -> Facts:
    """What the node that this runs on sees and has; mark: the file that lies in the store."""
    return Path(mark).exists(), {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def import_ray() -> Any:
    """The module ray. Raises KdbenchError where it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise KdbenchError("the executor ray needs Ray; type: pip install 'kdbench[ray]'")
    import ray

    return ray


def _join(address: str | None) -> None:
    """Connect to a cluster, or start one here. Raises KdbenchError where none answers."""
    import ray

    try:
        if address is not None and ":" in address:  # Ray itself waits a minute for nobody
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, namespace="kdbench")
    except (OSError, ValueError, RuntimeError) as error:
        where = f"at '{address}'" if address else "here"
        first = str(error).partition("\n")[0]
        raise KdbenchError(
            f"no Ray cluster answers {where} ({first}); start one with `ray start --head`, whose token stands in "
            "RAY_AUTH_TOKEN with RAY_AUTH_MODE=token, or leave --address out."
        ) from None
