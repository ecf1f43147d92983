"""A session's answers to every example, in their order, whatever batches they were computed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdbench.errors import MeasureError
from kdbench.measure.form import OutputForm
from kdbench.measure.inputs import Inputs
from kdbench.measure.runtimes.contract import Session

if TYPE_CHECKING:
    from kdbench.ragged import Stored


def predicted(session: Session, inputs: Inputs, batch_size: int) -> list[Stored]:
    """For each output that the inputs' form names float32 (N, ...), or N answers (places, ...) where these vary.

    Raises MeasureError where the file does not run, gives fewer outputs, or batches of other shapes than examples.
    """
    forms = inputs.form.outputs
    rows_of: list[list[Any]] = [[None] * inputs.example_count for _ in forms]
    lengths = inputs.lengths()
    for rows, feed in inputs.in_order(batch_size):
        outputs = session.run_checked(feed)
        if len(outputs) < len(forms):
            named = ", ".join(form.name for form in forms)
            raise MeasureError(f"{session.path} gives {len(outputs)} outputs, and the task has {len(forms)}: {named}.")
        for kept, form, output in zip(rows_of, forms, outputs):
            if output.ndim == 0 or len(output) != len(rows):
                shape = tuple(output.shape)
                raise MeasureError(f"{session.path} gives '{form.name}' of shape {shape} for {len(rows)} examples.")
            for place, row, answer in zip(rows, range(len(rows)), output):
                kept[place] = answer if form.axis is None else answer[: own_places(form, lengths, rows[row])]
    return [_together(session, form, kept) for form, kept in zip(forms, rows_of)]


def own_places(form: OutputForm, lengths: Any, row: int) -> int:
    """How many places along axis 1 are an example's own."""
    return -(-int(lengths[form.axis][row]) // form.subsampling)


def _together(session: Session, form: OutputForm, answers: list[Any]) -> Stored:
    import numpy

    from kdbench.ragged import Ragged

    if form.axis is not None:
        return Ragged.of([answer.astype(numpy.float32) for answer in answers])
    shapes = {answer.shape for answer in answers}
    if len(shapes) > 1:
        raise MeasureError(f"{session.path} gives '{form.name}' in several shapes: {', '.join(map(str, shapes))}.")
    return numpy.stack(answers).astype(numpy.float32)
