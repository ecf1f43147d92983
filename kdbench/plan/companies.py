"""Which students of a plan go in step: those that ask for the features of the same teachers on the same batches."""

from collections.abc import Iterable

from kdbench.stages.names import numbered
from kdbench.stages.spec import StageSpec

MOST = 8
"""Students in one process at most. Each keeps its weights, gradients and momenta there; with eight of them a teacher's
pass costs each an eighth, so that more would gain little."""


def companies(specs: Iterable[StageSpec]) -> list[list[StageSpec]]:
    """The stages of techniques that may go in step, each at least two and at most MOST, none resting on another.

    specs: a plan's stages, each after its inputs.
    """
    found: dict[tuple[object, ...], list[StageSpec]] = {}
    depths: dict[str, int] = {}
    for spec in specs:
        depths[spec.key] = 1 + max((depths.get(key, 0) for key in spec.inputs.values()), default=0)
        if spec.kind == "compress" and _asks_for_features(spec):
            found.setdefault((*_shown(spec), depths[spec.key]), []).append(spec)
    cut = (group[start : start + MOST] for group in found.values() for start in range(0, len(group), MOST))
    return [group for group in cut if len(group) > 1]


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
