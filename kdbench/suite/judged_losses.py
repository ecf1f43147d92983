"""Whether limits and tolerances fit what the task is judged by, which is known once its data is decoded."""

from collections.abc import Iterator

from kdbench import registry
from kdbench.errors import Place
from kdbench.protocols import Output
from kdbench.scale import Scale
from kdbench.suite.cases import Suite
from kdbench.suite.faults import Faults
from kdbench.suite.losses import Written, allowed, key_of, scale_of
from kdbench.suite.tolerances import ByMetric

Loss = tuple[Place, str, Written]
"""The place in the suite, the loss as `kdbench.suite.losses` calls it, and how much is allowed."""


def refuse_other_losses(suite: Suite, output: Output) -> None:
    """Raises SuiteError with a line for each limit or tolerance on a metric that does not decide, or in another unit.

    output: the task's first; its first metric decides.
    """
    name = output.metrics[0]
    scale = scale_of(registry.resolve("metric", name, suite.folder)().judging(output))
    faults = Faults(suite.document)
    for place, key, text in (*_limits(suite), *_tolerances(suite)):
        if (sentence := _fault(key, text, key_of(name, scale), scale)) is not None:
            faults.note(place, sentence)
    faults.report()


def _fault(key: str, text: Written, right: str, scale: Scale) -> str | None:
    if key != right:
        return f"the task is judged by {scale.name}, its first metric, so only its loss can be held to: {right}."
    try:
        allowed(text, scale)
    except ValueError as error:
        return f"{error}."
    return None


def _limits(suite: Suite) -> Iterator[Loss]:
    for key, text in suite.limits.losses.items():
        yield ("limits", key), key, text
    for target, limits in suite.limits.targets.items():
        for key, text in limits.losses.items():
            yield ("limits", "targets", target, key), key, text


def _tolerances(suite: Suite) -> Iterator[Loss]:
    held: dict[Place, ByMetric] = {("check",): suite.tolerances}
    held |= {("check", "cases", case): own for case, own in suite.tolerances.cases.items()}
    for before, tolerances in held.items():
        for metric, tolerance in tolerances.metrics.items():
            for key, text in tolerance.losses(metric).items():
                yield (*before, metric, f"max_{key.rpartition('_')[2]}"), key, text
