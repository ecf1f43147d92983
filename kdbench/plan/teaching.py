"""How much disk the outputs of teachers may take that a plan stores."""

from collections.abc import Iterable
from dataclasses import dataclass

from kdbench.plan.plan import Plan
from kdbench.protocols import TaskDescription
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.stages.names import DESCRIPTION
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store


@dataclass(frozen=True)
class Stored:
    """The tables of outputs that are still to be stored."""

    table_count: int
    most_bytes: int
    """The most that they may take together."""
    is_known: bool
    """Whether the size of the data is known, and not only what the suite lets each table take."""
    is_cut: bool
    """Whether some table may not hold every view."""


def stored_outputs(specs: Iterable[StageSpec], plan: Plan, store: Store) -> Stored:
    """What the stages of a plan that store outputs need at most; of data that is not decoded yet, what they may."""
    tables = [spec for spec in specs if spec.kind == "teach"]
    wanted = [_wanted_bytes(spec, plan, store) for spec in tables]
    bounds = [int(StoredOutputs.from_fields(spec.settings.get("stored", {})).gibibytes * 2**30) for spec in tables]
    pairs = [(bound if want is None else want, bound) for want, bound in zip(wanted, bounds, strict=True)]
    return Stored(len(tables), sum(map(min, pairs)), None not in wanted, any(want > bound for want, bound in pairs))


def _wanted_bytes(spec: StageSpec, plan: Plan, store: Store) -> int | None:
    """The most bytes of the outputs that a stage is asked for; None where its data is not decoded yet."""
    if not store.has(spec.inputs["data"]):
        return None
    task = TaskDescription.model_validate(store.read_json(spec.inputs["data"], DESCRIPTION))
    views = 1 if spec.seed is None else min(spec.settings["epochs"], spec.parts["task"].build().views())
    stored = StoredOutputs.from_fields(spec.settings.get("stored", {}))
    return task.example_counts["train"] * views * stored.row_bytes(task)
