"""Losses on the targets of a task, by kind of output. Knows what an output is, and no technique."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kdbench.functional._rows import decoded, value_matching, weighted_term
from kdbench.protocols import Batch, Output, TaskDescription

__all__ = ["ctc", "label_term", "labels_loss", "sequence_distillation"]

NAMES = {"multilabel": "bce", "values": "mse", "sequence": "ctc"}


def labels_loss(task: TaskDescription, batch: Batch, outputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """What from-scratch is trained with: one term an output, times its `loss_weight`.

    outputs: one tensor an output. The terms are named by their loss, {"ce": ...}; of several outputs {"NAME ce": ...}.
    An embedding has no loss of its own: what it is taught is the technique's.
    """
    terms: dict[str, Tensor] = {}
    for output, given, target in zip(task.outputs, outputs, batch.targets, strict=True):
        if output.kind == "embedding":
            continue
        name = NAMES.get(output.kind, "ce")
        terms |= weighted_term(task, output, name, label_term(output, given, target, batch))
    return terms


def label_term(output: Output, given: Tensor, target: Tensor, batch: Batch) -> Tensor:
    """The default loss of one output: a scalar.

    classes: cross-entropy, averaged over the B examples. multilabel: binary cross-entropy, averaged over B * K.
    values: squared error in units of the training split's spread, averaged over B * D. dense_classes and token_classes:
    cross-entropy, averaged over the places that count. sequence: CTC (Graves et al. 2006), each example divided by its
    target's length, then averaged; an utterance too short for its target counts as 0.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", section 3, for the last one.
    """
    if output.kind == "multilabel":
        return F.binary_cross_entropy_with_logits(given, target)
    if output.kind == "values":
        return value_matching(output, given, target)
    if output.kind == "sequence":
        return ctc(output, given, target, batch.lengths[output.name], batch)
    classes = given.movedim(-1, 1) if output.kind == "token_classes" else given
    return F.cross_entropy(classes, target, ignore_index=-100 if output.ignore is None else output.ignore)


def ctc(output: Output, given: Tensor, target: Tensor, symbol_counts: Tensor, batch: Batch) -> Tensor:
    """Connectionist temporal classification, over the target's length, averaged over examples.

    given: logits (B, T, K) of a sequence output; target: int64 (B, S), padded; symbol_counts: int64 (B,), how many
    symbols of it are each example's own. An example with too few frames for its target counts as 0.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", section 3.
    """
    frames = output.places(batch.lengths)
    if frames is None:
        frames = torch.full((len(given),), given.shape[1], dtype=torch.int64, device=given.device)
    return F.ctc_loss(
        given.log_softmax(-1).transpose(0, 1), target, frames, symbol_counts, blank=output.blank, zero_infinity=True
    )


def sequence_distillation(output: Output, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """CTC to the sequence that the teacher decodes to.

    student, teacher: logits (B, T, K) of a sequence output.

    Source: Kim and Rush 2016, "Sequence-Level Knowledge Distillation", section 3.2, with greedy decoding in the place
    of beam search.
    """
    found = decoded(output, teacher, batch)
    counts = torch.tensor([len(symbols) for symbols in found], device=student.device)
    return ctc(output, student, pad_sequence(found, batch_first=True, padding_value=output.blank), counts, batch)
