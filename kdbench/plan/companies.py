"""Which stages of a plan go in step: students that ask for the features of the same teachers on the same batches.

The stage that stores a teacher's outputs for a seed goes with them where their passes give what it wants.
"""

from collections.abc import Iterable

from kdbench.stages.lockstep import SMALL_BATCH
from kdbench.stages.names import numbered
from kdbench.stages.spec import StageSpec

MOST = 8
"""Students in one process at most. Each keeps its weights, gradients and momenta there; with eight of them a teacher's
pass costs each an eighth, so that more would gain little."""


def companies(specs: Iterable[StageSpec]) -> list[list[StageSpec]]:
    """The stages that may go in step, each at least two, none resting on another; at most MOST of them are students.

    A stage that stores outputs is the first of its company. specs: a plan's stages, each after its inputs.
    """
    found: dict[tuple[object, ...], list[StageSpec]] = {}
    storing: dict[tuple[object, ...], list[StageSpec]] = {}
    depths: dict[str, int] = {}
    for spec in specs:
        depth = depths[spec.key] = 1 + max((depths.get(key, 0) for key in spec.inputs.values()), default=0)
        if spec.kind == "compress" and _asks_for_features(spec):
            found.setdefault((*_shown(spec), depth), []).append(spec)
        if spec.kind == "teach":
            storing.setdefault(_stored(spec, depth), []).append(spec)
    cut = (group[start : start + MOST] for group in found.values() for start in range(0, len(group), MOST))
    joined = [[*_joining(group, storing, depths), *group] for group in cut]
    return [group for group in joined if len(group) > 1]


def _stored(spec: StageSpec, depth: int) -> tuple[object, ...]:
    """Whose outputs a stage stores, for which views and in what precision."""
    precision = spec.settings.get("precision", "fp32")
    return spec.inputs["teacher"], spec.inputs["data"], spec.seed, precision, spec.numerics["device"], depth


def _joining(
    group: list[StageSpec], storing: dict[tuple[object, ...], list[StageSpec]], depths: dict[str, int]
) -> list[StageSpec]:
    """The stages that store what a group's passes give, which no other group has; they are taken out of `storing`.

    Not where a group has small batches, or more than one thread: its passes round otherwise.
    """
    first = group[0]
    recipes = [part.fields for role, part in first.parts.items() if role.startswith("recipe:")]
    if any(recipe["batch_size"] < SMALL_BATCH or recipe["threads"] > 1 for recipe in recipes):
        return []
    depth, device = depths[first.key], first.numerics["device"]
    taught = (first.inputs["teacher"], first.inputs["data"], first.seed)
    every = (part for spec in group for role, part in spec.parts.items() if role.startswith("recipe:"))
    precisions = dict.fromkeys(recipe.fields["precision"] for recipe in every)
    return [spec for precision in precisions for spec in storing.pop((*taught, precision, device, depth), [])]


def _asks_for_features(spec: StageSpec) -> bool:
    """Whether a stage's teacher works live: what it gives of itself is stored nowhere."""
    return "teacher" in spec.inputs and "teacher_features" in spec.parts["technique"].build().asks()


def _shown(spec: StageSpec) -> tuple[object, ...]:
    """What decides the batches that teachers are shown, and what computes them."""
    recipes = {role: part.fields for role, part in spec.parts.items() if role.startswith("recipe:")}
    batches = tuple((role, recipes[role]["batch_size"], recipes[role]["threads"]) for role in sorted(recipes))
    teachers = [numbered("teacher", number) for number in range(len(spec.inputs))]
    taught = tuple(spec.inputs[role] for role in teachers if role in spec.inputs)
    return spec.seed, spec.inputs["data"], taught, batches, "model" in spec.inputs, spec.numerics["device"]
