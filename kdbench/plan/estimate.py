"""Estimates how long stages will take from how long similar ones took, and says what it does not know."""

from dataclasses import dataclass, field

from kdbench import units
from kdbench.plan.plan import Plan
from kdbench.stages.names import STAGE
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store


def kind_of_work(spec: StageSpec) -> str:
    """A name for stages that take about as long as each other: one kind, on one model, under one recipe."""
    parts = [spec.parts[role] for role in sorted(spec.parts) if role == "model" or role.startswith("recipe")]
    return " ".join([spec.kind, *(f"{part.name}{part.fields}" for part in parts)])


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

    def left(self, pending: list[StageSpec], jobs: int) -> str:
        """How long the pending stages take with `jobs` workers, in words that say what is not known."""
        known = [(spec, seconds) for spec in pending if (seconds := self.of(spec)) is not None]
        if len(known) < len(pending) / 2:
            return "how long the rest takes is not known yet"
        seconds = sum(seconds / (1 if spec.kind == "measure" else jobs) for spec, seconds in known)
        return f"{'about' if len(known) == len(pending) else 'at least'} {units.duration(seconds * 1e9)} left"


def from_store(plan: Plan, store: Store) -> Estimate:
    """An estimate from the stages of a plan that are finished."""
    estimate = Estimate()
    for key, spec in plan.stages.items():
        if store.has(key):
            estimate.learn(spec, store.read_json(key, STAGE)["wall_seconds"])
    return estimate
