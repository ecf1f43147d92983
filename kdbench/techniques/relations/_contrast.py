"""The embeddings that contrastive distillation trains, and its two memories of all training examples."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from kdbench import functional as F
from kdbench.techniques.relations._embeddings import Embeddings

UNKNOWN = -1.0
"""Value of the normalizer until the first batch sets it."""


class Memory(nn.Module):
    """One network's latest embedding of every training example, (n, size), and its estimates' normalizer Z."""

    embeddings: Tensor
    normalizer: Tensor

    def __init__(self, example_count: int, size: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        bound = math.sqrt(3 / size)  # rows of about length 1
        self.register_buffer("embeddings", torch.empty(example_count, size).uniform_(-bound, bound))
        self.register_buffer("normalizer", torch.tensor(UNKNOWN))

    def estimate(self, others: Tensor, candidates: Tensor, temperature: float) -> Tensor:
        """The contrastive term of the other network's embeddings (B, size) against candidates (B, 1 + K) in here.

        One product with the whole memory and a gather: (B, n) numbers in place of the (B, K, size) of the candidates'
        rows. Nothing is drawn twice, so the gather's gradient is a sum of one term, the same in every run.
        """
        similarities = (others @ self.embeddings.T).gather(1, candidates)
        worth = (similarities.detach() / temperature).exp().mean() * len(self.embeddings)
        self.normalizer = torch.where(self.normalizer < 0, worth, self.normalizer)
        return F.contrastive(similarities, temperature, self.normalizer, len(self.embeddings))

    @torch.no_grad()
    def remember(self, index: Tensor, embeddings: Tensor) -> None:
        """Move the rows of these examples towards their embeddings. Not in place: the backward pass needs the old."""
        moved = self.momentum * self.embeddings[index] + (1 - self.momentum) * embeddings
        self.embeddings = self.embeddings.index_copy(0, index, normalize(moved))


class Contrast(nn.Module):
    """Features of a batch in, the contrastive term out; its memories are buffers, so they are in every checkpoint."""

    targets: Tensor

    def __init__(
        self,
        student: Sequence[int],
        teacher: Sequence[int],
        size: int,
        targets: Tensor,
        negative_count: int,
        temperature: float,
        momentum: float,
    ) -> None:
        """student, teacher: shapes of the features; targets: of the training split in its order, (n,): classes; or
        (n, K): 0 or 1 for each label.
        """
        super().__init__()
        self.negative_count = min(negative_count, most_negatives(targets))
        self.temperature = temperature
        self.embed = Embeddings(student, teacher, size)
        self.of_student = Memory(len(targets), size, momentum)
        self.of_teacher = Memory(len(targets), size, momentum)
        self.register_buffer("targets", targets.clone(), persistent=False)

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
        mine, its = (normalize(embedded) for embedded in self.embed(student, teacher))
        candidates = torch.cat([index[:, None], self.negatives(index)], 1)
        terms = [
            self.of_teacher.estimate(mine, candidates, self.temperature),
            self.of_student.estimate(its, candidates, self.temperature),
        ]
        self.of_student.remember(index, mine)
        self.of_teacher.remember(index, its)
        return terms[0] + terms[1]

    def negatives(self, index: Tensor) -> Tensor:
        """(B, K): for each example K that are not `alike`, drawn without repetition, every set as likely as any."""
        lots = torch.rand(len(index), len(self.targets), device=index.device)
        lots.masked_fill_(alike(self.targets, self.targets[index]), -1)
        return lots.topk(self.negative_count, dim=1, sorted=False).indices


def alike(targets: Tensor, own: Tensor) -> Tensor:
    """bool (B, n): which of the training examples are of an example's class, or share a label with it.

    An example without any label is alike to those without any.
    """
    if targets.dim() == 1:
        return targets == own[:, None]
    return (own @ targets.T > 0) | ((own.sum(1) == 0)[:, None] & (targets.sum(1) == 0))


def most_negatives(targets: Tensor) -> int:
    """The number of training examples that every one of them can have as negatives."""
    if targets.dim() == 1:
        return len(targets) - int(targets.bincount().max())
    return min(len(targets) - int(alike(targets, own[None]).sum()) for own in targets)
