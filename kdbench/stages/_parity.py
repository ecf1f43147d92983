"""Whether a file answers as the network it was exported from, at every size, and an example alone as in a batch."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from kdbench import functional as F
from kdbench.errors import ExportError
from kdbench.measure.decisions import agreement, decide
from kdbench.measure.runtimes.contract import Feed, Session
from kdbench.protocols import TaskDescription
from kdbench.ragged import Array, Index
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.examples import examples, own_answers

TOLERANCE = 1e-3
"""Largest difference of an output allowed between torch and the float file, relative to the largest number of that
output (at least 1)."""
AGREEMENT = 0.9
"""Least agreement of the decisions of an 8-bit file and of torch's rounded network. Where a sum lies between two
levels, float arithmetic in another order may choose the other one, so outputs differ by whole levels."""
TOGETHER = 8
"""Examples of unequal length that are answered alone and in one batch."""

Tensors = tuple[torch.Tensor, ...]


@torch.inference_mode()
def network_answers(model: nn.Module, inputs: Sequence[torch.Tensor], task: TaskDescription) -> list[Array]:
    """A network's outputs for a batch, one array (B, ...) an output."""
    return [output.numpy() for output in F.outputs_of(model(*inputs), model, len(task.outputs))]


def compare(model: nn.Module, session: Session, task: TaskDescription, inputs: Tensors, where: str) -> float:
    """The largest difference between a network and its file on one batch; `where` names its size for the message.

    Raises ExportError where it is above TOLERANCE, or shapes differ.
    """
    worst = 0.0
    for name, got, expected in _both(model, session, task, inputs, where):
        difference = float(np.abs(got - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ExportError(f"{where} the file's {name} differ from torch's by {difference:.3g}.")
        worst = max(worst, difference)
    return worst


def compare_decisions(
    model: nn.Module, session: Session, task: TaskDescription, inputs: Tensors, lengths: Mapping[str, Index]
) -> float:
    """The largest difference, where what counts is what the outputs decide: the file computes in fewer bits.

    Raises ExportError where decisions agree on less than AGREEMENT.
    """
    pairs = list(_both(model, session, task, inputs, f"at batch {len(inputs[0])}"))
    given = own_answers(task, [got for _, got, _ in pairs], lengths)
    wanted = own_answers(task, [expected for _, _, expected in pairs], lengths)
    for output, got, expected in zip(task.outputs, given, wanted, strict=True):
        decided = [decide(output.kind, answers, output.blank) for answers in (got, expected)]
        if (share := agreement(output.kind, *decided)) < AGREEMENT:
            named = "" if len(task.outputs) == 1 else f" in '{output.name}'"
            count = len(inputs[0])
            raise ExportError(f"the 8-bit file and the network agree on {share:.0%} of {count} examples only{named}.")
    return max(float(np.abs(got - expected).max()) for _, got, expected in pairs)


def _both(
    model: nn.Module, session: Session, task: TaskDescription, inputs: Tensors, where: str
) -> Iterator[tuple[str, Array, Array]]:
    """(name, the file's, the network's) of each output. Raises ExportError where their shapes differ."""
    given = session.run_checked({name: t.numpy() for name, t in zip(task.input_names, inputs, strict=True)})
    for output, got, expected in zip(task.outputs, given, network_answers(model, inputs, task), strict=True):
        if got.shape != expected.shape:
            raise ExportError(f"{where} the file gives shape {got.shape}, torch {expected.shape}.")
        yield output.name, got, expected


def sized_batches(data: ArrayData) -> Iterator[tuple[str, Tensors]]:
    """Batches of 1 and 5 training examples, cut or repeated to least, median and longest of each axis that varies.

    Each with the words that name its size. None where nothing varies.
    """
    task = data.description
    some = examples(data, "train", np.arange(min(5, data.count("train"))))
    middle = {axis.name: axis.median for axis in task.axes}
    for axis in task.axes:
        for count, size in ((1, axis.least), (5, axis.median), (1, axis.longest), (5, axis.least), (5, axis.longest)):
            sizes = {**middle, axis.name: axis.within(size)}
            feed = some.resized(np.arange(count) % some.example_count, sizes)
            words = ", ".join(f"{name} {length}" for name, length in sizes.items())
            yield f"at batch {count} and {words}", _tensors(task, feed)


def median_example(data: ArrayData) -> Tensors:
    """A training example as a batch of one; axes that vary have the training split's median."""
    sizes = {axis.name: axis.within(axis.median) for axis in data.description.axes}
    first = np.arange(1)
    return _tensors(data.description, examples(data, "train", first).resized(first, sizes))


def padding_difference(session: Session, data: ArrayData) -> float | None:
    """The largest difference between the answers to an example alone and in a batch of longer ones, at its own places.

    Relative to the largest number of the output (at least 1). None where nothing varies, or all examples are equally
    long.
    """
    task, lengths = data.description, next(iter(data.lengths("train").values()), None)
    if lengths is None or lengths.min() == lengths.max():
        return None
    order = np.argsort(lengths, kind="stable")
    rows = order[np.linspace(0, len(order) - 1, min(TOGETHER, len(order))).astype(np.int64)]
    some = examples(data, "train", rows)
    places = np.arange(len(rows))
    together = own_answers(task, session.run_checked(some.padded(places)), some.lengths())
    worst = 0.0
    for place in places:
        own = {axis: found[[place]] for axis, found in some.lengths().items()}
        alone = own_answers(task, session.run_checked(some.padded(places[[place]])), own)
        for answers, (answer,) in zip(together, alone, strict=True):
            largest = max(1.0, float(np.abs(answer).max(initial=0.0)))
            worst = max(worst, float(np.abs(answers[place] - answer).max(initial=0.0)) / largest)
    return worst


def _tensors(task: TaskDescription, feed: Feed) -> Tensors:
    return tuple(torch.from_numpy(feed[name]) for name in task.input_names)
