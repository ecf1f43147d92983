"""Losses on the targets of a task, by kind of output. Knows what an output is, and no technique."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.protocols import Batch, Output, TaskDescription

__all__ = ["label_term", "labels_loss"]

NAMES = {"multilabel": "bce", "values": "mse", "sequence": "ctc"}


def labels_loss(task: TaskDescription, batch: Batch, outputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """What from-scratch is trained with: one term an output, times its `loss_weight`.

    outputs: one tensor an output. The terms are named by their loss, {"ce": ...}; of several outputs {"NAME ce": ...}.
    An embedding has no loss of its own: what it is taught is the technique's.
    """
    terms = {}
    for output, given, target in zip(task.outputs, outputs, batch.targets, strict=True):
        if output.kind == "embedding":
            continue
        term = label_term(output, given, target, batch)
        name = NAMES.get(output.kind, "ce")
        terms[name if len(task.outputs) == 1 else f"{output.name} {name}"] = (
            term if output.loss_weight == 1 else output.loss_weight * term
        )
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
        scale = torch.tensor(output.scale or (1.0,), dtype=given.dtype, device=given.device)
        return F.mse_loss(given / scale, target / scale)
    if output.kind == "sequence":
        return _ctc(output, given, target, batch)
    classes = given.movedim(-1, 1) if output.kind == "token_classes" else given
    return F.cross_entropy(classes, target, ignore_index=-100 if output.ignore is None else output.ignore)


def _ctc(output: Output, given: Tensor, target: Tensor, batch: Batch) -> Tensor:
    frames = output.places(batch.lengths)
    if frames is None:
        frames = torch.full((len(given),), given.shape[1], dtype=torch.int64, device=given.device)
    return F.ctc_loss(
        given.log_softmax(-1).transpose(0, 1),
        target,
        frames,
        batch.lengths[output.name],
        blank=output.blank,
        zero_infinity=True,
    )
