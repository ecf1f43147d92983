"""Estimates how long stages will take from how long similar ones took, and says what it does not know."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from kdbench import units
from kdbench.plan.plan import Plan
from kdbench.stages.names import STAGE
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store

GUESSES = {"train": 30.0, "compress": 30.0, "teach": 5.0, "export": 2.0}
"""Seconds of a stage of which nothing like it was seen, any other kind's being one. Only their order counts: which of
two chains that nobody knows is the longer."""


def guess_by_kind(spec: StageSpec) -> float:
    """Seconds of a stage, from its kind alone."""
    return GUESSES.get(spec.kind, 1.0)


def kind_of_work(spec: StageSpec) -> str:
    """A name for stages that take about as long as each other: one technique, on one model, under one recipe."""
    parts = [spec.parts[role] for role in sorted(spec.parts) if role == "model" or role.startswith("recipe")]
    technique = [spec.parts["technique"].name] if "technique" in spec.parts else []
    return " ".join([spec.kind, *technique, *(f"{part.name}{part.fields}" for part in parts)])


def seconds_to_the_end(specs: Iterable[StageSpec], seconds: Callable[[StageSpec], float]) -> dict[str, float]:
    """Key -> how long a stage and the longest chain of stages that rests on it take, however many workers there are."""
    by_key = {spec.key: spec for spec in specs}
    inputs = {key: [rests for rests in spec.inputs.values() if rests in by_key] for key, spec in by_key.items()}
    after = dict.fromkeys(by_key, 0.0)
    found: dict[str, float] = {}
    for key in reversed([*TopologicalSorter(inputs).static_order()]):
        found[key] = after[key] + seconds(by_key[key])
        for rests in inputs[key]:
            after[rests] = max(after[rests], found[key])
    return found


@dataclass
class Estimate:
    """How long stages of each kind of work took, in seconds."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def learn(self, spec: StageSpec, seconds: float) -> None:
        """Note how long a stage took."""
        self.seconds.setdefault(kind_of_work(spec), []).append(seconds)

    def of(self, spec: StageSpec) -> float | None:
        """Mean seconds of similar stages; None where none has been seen."""
        known = self.seconds.get(kind_of_work(spec))
        return sum(known) / len(known) if known else None

    def guess(self, spec: StageSpec) -> float:
        """Seconds of a stage, by similar ones or else by its kind."""
        return known if (known := self.of(spec)) is not None else guess_by_kind(spec)

    def left(self, pending: list[StageSpec], jobs: int) -> str:
        """How long the pending stages take with `jobs` workers, in words that say what is not known."""
        known = [(spec, seconds) for spec in pending if (seconds := self.of(spec)) is not None]
        if len(known) < len(pending) / 2:
            return "how long the rest takes is not known yet"
        measuring = sum(seconds for spec, seconds in known if spec.kind == "measure")
        work = sum(seconds for _, seconds in known) - measuring
        seconds = measuring + max(self.longest_chain(pending)[1], work / jobs)
        return f"{'about' if len(known) == len(pending) else 'at least'} {units.duration(seconds * 1e9)} left"

    def longest_chain(self, pending: list[StageSpec]) -> tuple[list[StageSpec], float]:
        """The stages that take longest one after the other, measurements left out, and the seconds known of them."""
        specs = {spec.key: spec for spec in pending if spec.kind != "measure"}
        left = seconds_to_the_end(specs.values(), lambda spec: self.of(spec) or 0.0)
        chain: list[StageSpec] = []
        ahead = [*specs]
        while ahead:
            first = max(ahead, key=left.__getitem__)
            chain.append(specs[first])
            ahead = [key for key, spec in specs.items() if first in spec.inputs.values()]
        return chain, left[chain[0].key] if chain else 0.0


def from_store(plan: Plan, store: Store) -> Estimate:
    """An estimate from the stages of a plan that are finished."""
    estimate = Estimate()
    for key, spec in plan.stages.items():
        if store.has(key):
            estimate.learn(spec, store.read_json(key, STAGE)["wall_seconds"])
    return estimate
