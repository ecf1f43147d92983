"""Which steps make no sense after which others: what follows from their effects, then a technique's own reasons."""

import itertools
from collections.abc import Iterator, Sequence

from kdbench.errors import Place
from kdbench.suite.cases import Step


def order_faults(steps: Sequence[Step]) -> Iterator[tuple[Place, str]]:
    """(place, sentence) for every step of a chain that undoes, or cannot work on, what an earlier one left."""
    for before, step in itertools.pairwise(steps):
        if before.technique.form == "artefact":
            text = f"{before.spec.name} makes the file of {before.technique.runtime} itself; put it last."
            yield before.place, text
            return
        if before.technique.form == "onnx" and step.technique.form == "artefact":
            text = (
                f"{step.spec.name} makes {step.technique.runtime}'s file of the network, in which nothing of "
                f"{before.spec.name} before it is; leave one of the two out."
            )
            yield step.place, text
            return
        if before.technique.form == "onnx" and step.technique.form != "onnx":
            text = f"{step.spec.name} works on a torch model but {before.spec.name} before it gives ONNX; move it up."
            yield step.place, text
            return
    for earlier, later in itertools.combinations(steps, 2):
        reason = _senseless(earlier, later)
        if reason is not None:
            yield later.place, f"{later.spec.name} makes no sense after {earlier.spec.name}: {reason}"


def _senseless(earlier: Step, later: Step) -> str | None:
    """Why a step cannot come after another, as the end of a sentence; None where it can."""
    before, after = earlier.technique.effects, later.technique.effects
    if "rounding" in before & after:
        return "its numbers are rounded to fewer bits already, and that is done once; leave one of the two out."
    if "rounding" in before and "surgery" in after:
        return "its rounding ranges belong to the layers and weights they were learned with; move it up."
    if "restart" in after:
        return "it starts over, so what was done before it would be lost, or be in one network only; put it first."
    if "teaching" in before and "retraining" in after:
        return "it trains through a whole recipe, in which what the teacher taught is lost; leave one of the two out."
    trains = bool(later.recipes)
    if trains and "sharing" in before:
        return "its training spreads the shared weights apart again; move it up."
    if trains and "zeros" in before and not after & {"zeros", "sharing"}:
        return "its training fills the zeros again; move it up."
    return later.technique.refuses_after(earlier.technique)
