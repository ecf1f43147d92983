"""Losses inside transformers: on hidden states, on attention, on relations between tokens. Padding speaks nowhere."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "attention_divergence",
    "attention_scores",
    "hidden_cosine",
    "hidden_states",
    "in_heads",
    "patient",
    "relation_divergence",
    "score_matching",
]


def hidden_states(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """Mean squared error over the real tokens: sum m (s - t)^2 / (d * sum m).

    student s, teacher t: hidden states (B, L, d) of one width d; real m: bool (B, L), False at padding.

    Source: Jiao et al. 2020, "TinyBERT", section 3.1, equations 8 and 9. Published code takes the mean over all B * L
    places, padding included, so that its size changes with how sentences are batched.
    """
    return F.mse_loss(student[real], teacher[real])


def hidden_cosine(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """How far the directions of hidden states are apart: mean over the real tokens of 1 - cos(s, t).

    student s, teacher t: hidden states (B, L, d) of one width d; real: bool (B, L), False at padding.

    Source: Sanh et al. 2019, "DistilBERT", section 3; the mean over real tokens is that of its published code.
    """
    return (1 - F.cosine_similarity(student[real], teacher[real], dim=-1)).mean()


def in_heads(vectors: Tensor, count: int) -> Tensor:
    """Queries, keys or values (B, L, d) as (B, count, L, d / count): each head has its part of the d numbers.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.2.
    """
    batch, length, width = vectors.shape
    return vectors.view(batch, length, count, width // count).transpose(1, 2)


def attention_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """q k^T / sqrt(d_k), before any mask and softmax: (B, h, L, L). queries, keys: (B, h, L, d_k).

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.1.
    """
    return queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])


def score_matching(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """Mean squared error on attention scores: mean over sentences of sum (s - t)^2 / (h n^2).

    student s, teacher t: scores (B, h, L, L) of equally many heads h, before the softmax; real: bool (B, L), n of each
    sentence's L tokens are real. The sum is over heads, real queries and real keys.

    Source: Jiao et al. 2020, "TinyBERT", section 3.1, equation 7. Published code sets scores of masked keys to 0 in
    both networks, compares the queries of padding too, and takes the mean over all L * L places: a sentence counts less
    the more padding it has.
    """
    both = (real[:, :, None] & real[:, None, :])[:, None]
    squares = ((student - teacher).square() * both).sum((1, 2, 3))
    return (squares / (student.shape[1] * _counts(real).square())).mean()


def attention_divergence(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """Divergence of attention distributions: mean over sentences of sum KL(softmax t || softmax s) / (h n).

    student s, teacher t: scores (B, h, L, L) of equally many heads h; real: bool (B, L), n of each sentence's L tokens
    are real. The softmax is over the real keys alone, the sum over heads and real queries.

    Source: Wang et al. 2020, "MiniLM", section 3.1.
    """
    hidden = ~real[:, None, None, :]
    student, teacher = (
        scores.masked_fill(hidden, -math.inf).log_softmax(-1).masked_fill(hidden, 0) for scores in (student, teacher)
    )
    rows = (teacher.exp() * (teacher - student)).masked_fill(hidden, 0).sum(-1)
    divergences = (rows * real[:, None, :]).sum((1, 2))
    return (divergences / (student.shape[1] * _counts(real))).mean()


def relation_divergence(student: Tensor, teacher: Tensor, real: Tensor, heads: int) -> Tensor:
    """Divergence of how tokens are related: `attention_divergence` of x x^T / sqrt(d_h) in each of the heads.

    student, teacher: queries, keys or values x, (B, L, d) each; widths may differ, heads divides both, d_h = d / heads.
    real: bool (B, L), False at padding.

    Source: Wang et al. 2020, "MiniLM", section 3.2 (values, as many heads as attention has); Wang et al. 2021,
    "MiniLMv2", section 3.2 (queries, keys and values, in a number of relation heads of its own).
    """
    own, taught = in_heads(student, heads), in_heads(teacher, heads)
    return attention_divergence(attention_scores(own, own), attention_scores(taught, taught), real)


def patient(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Distance between the directions of [CLS]: mean over B of the sum over layers of |s / |s| - t / |t||^2.

    student s, teacher t: (B, d) a layer, the hidden state of the first token.

    Source: Sun et al. 2019, "Patient Knowledge Distillation for BERT Model Compression", section 3.2, equation 7. The
    authors' code takes the mean over layers and over d too, so its published weights are larger by both.
    """
    pairs = zip(student, teacher, strict=True)
    apart = [(F.normalize(s, dim=-1) - F.normalize(t, dim=-1)).square().sum(-1).mean() for s, t in pairs]
    return torch.stack(apart).sum()


def _counts(real: Tensor) -> Tensor:
    """How many tokens of each sentence are real, (B,); at least 1."""
    return real.sum(1).clamp(min=1)
