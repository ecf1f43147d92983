"""Losses inside transformers beside those of other libraries: what is compared, and on what. Knows no page.

TextBrewer (Yang et al. 2020, "TextBrewer: An Open-Source Knowledge Distillation Toolkit for NLP") has functions of
hidden states, attention and outputs that were written apart from kdbench's. torchdistill has the losses on maps,
relations and outputs; tests/functional compares those.
"""

import importlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from kdbench import functional as F

LENGTHS = (7, 3, 5, 1)
LONGEST = max(LENGTHS)
REAL = torch.arange(LONGEST)[None, :] < torch.tensor(LENGTHS)[:, None]
HIDDEN = -1e4
"""What BERT's code adds to the score of a token that is padding."""
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Comparison:
    """One of kdbench's losses and the same number from another library's functions."""

    name: str
    theirs: str
    ours: Loss
    other: Loss
    shape: tuple[int, ...]
    said: str
    """How the other's function is used to give the number."""


@dataclass(frozen=True)
class Found:
    """How far the two are apart, in double precision."""

    value: float
    difference: float
    gradient_norm: float
    gradient_difference: float


def textbrewer() -> ModuleType:
    """Its losses. Raises ImportError where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("textbrewer.losses")


def comparisons(them: ModuleType) -> list[Comparison]:
    """Everything that TextBrewer has and kdbench, too."""
    tokens, scores, logits = (4, LONGEST, 12), (4, 2, LONGEST, LONGEST), (4, 5)

    def each(theirs: Callable[..., Tensor]) -> Loss:
        """The mean over sentences of a loss of one sentence with its mask."""
        some = [slice(number, number + 1) for number in range(len(LENGTHS))]
        return lambda s, t: torch.stack([theirs(s[one], t[one], REAL[one]) for one in some]).mean()

    def divergence(s: Tensor, t: Tensor, real: Tensor) -> Tensor:
        """Cross-entropy minus entropy; padding is hidden from the softmax as BERT hides it."""
        s, t = (x.masked_fill(~real[:, None, None, :], HIDDEN) for x in (s, t))
        return them.att_ce_loss(s, t, real) - them.att_ce_loss(t, t, real)

    def relations(s: Tensor, t: Tensor, real: Tensor) -> Tensor:
        """Divergence of the relations x x^T / sqrt(d) of 3 heads, padding hidden likewise."""
        parts = (torch.stack(x.chunk(3, dim=2), 1) for x in (s, t))
        return divergence(*(x @ x.transpose(2, 3) / math.sqrt(x.shape[3]) for x in parts), real)

    def softened(s: Tensor, t: Tensor) -> Tensor:
        return 4 * (them.kd_ce_loss(s, t, 2.0) - them.kd_ce_loss(t, t, 2.0))

    return [
        Comparison("hidden_states", "hid_mse_loss", lambda s, t: F.hidden_states(s, t, REAL),
                   lambda s, t: them.hid_mse_loss(s, t, REAL), tokens, "with its mask"),
        Comparison("hidden_cosine", "cos_loss", lambda s, t: F.hidden_cosine(s, t, REAL),
                   lambda s, t: them.cos_loss(s, t, REAL), tokens, "with its mask"),
        Comparison("patient", "pkd_loss", lambda s, t: F.patient([s[:, 0], s[:, 1]], [t[:, 0], t[:, 1]]),
                   lambda s, t: them.pkd_loss(s, t) + them.pkd_loss(s[:, 1], t[:, 1]), tokens,
                   "summed over two layers"),
        Comparison("score_matching", "att_mse_loss", lambda s, t: F.score_matching(s, t, REAL),
                   each(them.att_mse_loss), scores, "with its mask, a sentence at a time: a batch weighs them by n^2"),
        Comparison("attention_divergence", "att_ce_loss", lambda s, t: F.attention_divergence(s, t, REAL),
                   each(divergence), scores, "a sentence at a time, padded keys at -1e4, minus the teacher's entropy"),
        Comparison("relation_divergence", "att_ce_loss", lambda s, t: F.relation_divergence(s, t, REAL, 3),
                   each(relations), tokens, "the same of x x^T / sqrt(d) in 3 heads (MiniLM's relations of values)"),
        Comparison("soft_distillation", "kd_ce_loss", lambda s, t: F.soft_distillation(s, t, 2.0), softened, logits,
                   "times T^2 = 4, minus the teacher's entropy"),
        Comparison("logit_matching", "kd_mse_loss", F.logit_matching, them.kd_mse_loss, logits, "as it is"),
    ]  # fmt: skip


def found(one: Comparison) -> Found:
    """Both on the same numbers, drawn with a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(one.shape, dtype=torch.float64, generator=generator) for _ in range(2))
    student.requires_grad_()
    values = [loss(student, teacher) for loss in (one.ours, one.other)]
    gradients = [torch.autograd.grad(value, student)[0] for value in values]
    return Found(
        value=values[0].item(),
        difference=abs(values[0].item() - values[1].item()),
        gradient_norm=gradients[0].norm().item(),
        gradient_difference=(gradients[0] - gradients[1]).abs().max().item(),
    )
