"""Losses on how the examples of a batch relate to each other; knows embeddings only, neither layers nor labels."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "contrastive",
    "correlation_congruence",
    "probabilistic_transfer",
    "relational_angle",
    "relational_distance",
    "similarity_preserving",
]

PROBABILISTIC_EPSILON = 1e-7
"""Added to every probability before the logarithm, as in the paper's own code and in RepDistiller."""
CONTRAST_EPSILON = 1e-7
"""Added to the denominators of NCE, as in the paper's own code (RepDistiller, `crd/criterion.py`)."""
KERNEL_GAMMA = 0.4
"""Gamma of the Gaussian kernel, which is expanded to order 2: Peng et al. 2019, section 4."""


def similarity_preserving(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """||N(S S^T) - N(T T^T)||_F^2 / B^2: who is like whom in the batch, whatever the shapes of the features.

    student_features, teacher_features: (B, ...), flattened to S (B, D_s) and T (B, D_t). N divides each row by its L2
    norm; a row of zeros (an example whose features are all 0) stays zero and has no gradient. Zero where the student's
    features are the teacher's, rotated or all scaled alike.

    Source: Tung and Mori 2019, "Similarity-Preserving Knowledge Distillation", section 3.1, for one pair of layers;
    the published weight 3000 belongs to it. torchdistill 1.1.5 normalises the rows by L1 and differs.
    """
    student, teacher = student_features.flatten(1), teacher_features.flatten(1)
    difference = _unit(student @ student.T) - _unit(teacher @ teacher.T)
    return difference.square().sum() / len(difference) ** 2


def relational_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss, averaged over all B * B pairs, between the distances in the student's and the teacher's batch.

    student, teacher: (B, ...), flattened. Each set of Euclidean distances is divided by the mean of its positive ones,
    so scale and units of an embedding do not matter. A pair of equal embeddings has distance 0 and no gradient. Takes
    B * B * D numbers in memory.

    Source: Park et al. 2019, "Relational Knowledge Distillation", section 3.2.1; the mean over the pairs and over
    positive distances is that of the authors' code, to which the published weight 25 belongs.
    """
    return F.smooth_l1_loss(_scaled_distances(student), _scaled_distances(teacher))


def relational_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss, averaged over all B^3 triplets, between cosines of the angles that three embeddings span.

    student, teacher: (B, ...), flattened. The cosine at corner j is <e_ij, e_kj> with e_ij the unit vector from
    example j to example i; it is 0, without gradient, where two of the three are equal. Time is O(B^3 D) and memory
    O(B^3 + B^2 D): a batch of 64 has 262 thousand triplets, one of 512 has 134 million (0.5 GB a copy).

    Source: Park et al. 2019, "Relational Knowledge Distillation", section 3.2.2; the mean over the triplets, equal
    corners included, is that of the authors' code, to which the published weight 50 belongs.
    """
    return F.smooth_l1_loss(_angles(student), _angles(teacher))


def probabilistic_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over i and j of t_ij * log((t_ij + eps) / (s_ij + eps)): how probable j is as a neighbour of i.

    student, teacher: (B, ...), flattened. Probabilities are (cosine + 1) / 2, divided by their row's sum, example
    itself included; eps is 1e-7. Zero at s = t; scale and rotation of an embedding do not matter.

    Source: Passalis and Tefas 2018, "Learning Deep Representations with Probabilistic Knowledge Transfer", section 3.
    Their divergence is a sum over all pairs; the mean over B * B is that of their code and of RepDistiller, to
    which the published weight 30000 belongs. It makes the term shrink with the square of the batch size.
    """
    s, t = _neighbours(student), _neighbours(teacher)
    return (t * ((t + PROBABILISTIC_EPSILON) / (s + PROBABILISTIC_EPSILON)).log()).mean()


def correlation_congruence(
    student: Tensor, teacher: Tensor, kernel: Literal["neighbours", "bilinear", "gaussian"] = "neighbours"
) -> Tensor:
    """Distance between the correlations of the student's and the teacher's embeddings, in one of three ways.

    student, teacher: (B, D) embeddings in one space.

    - "neighbours": mean over i < B of sum_d |delta_id| * |delta_(i+1)d|, delta = student - teacher. It is what
      RepDistiller and mdistiller compute, and what the published weight 0.02 and the published accuracies belong to; so
      it is the default. It is not the paper's loss: no correlation within a network enters, it depends on the order of
      the batch, and it is 0 as soon as every other example agrees.
    - "bilinear", "gaussian": the paper's, ||K(student) - K(teacher)||_F^2 / B^2. K is (B, B); bilinear: <x_i, x_j>.
      Gaussian, on embeddings divided by their L2 norm: exp(-2g) * sum over p = 0..2 of (2g)^p / p! * <x_i, x_j>^p with
      g = 0.4, the Taylor expansion of exp(-g |x_i - x_j|^2).

    Source: Peng et al. 2019, "Correlation Congruence for Knowledge Distillation", section 3.
    """
    if kernel == "neighbours":
        delta = (student - teacher).abs()
        return (delta[:-1] * delta[1:]).sum(1).sum() / max(len(delta) - 1, 1)
    return (_correlations(student, kernel) - _correlations(teacher, kernel)).square().mean()


def contrastive(similarities: Tensor, temperature: float, normalizer: Tensor, example_count: int) -> Tensor:
    """Noise-contrastive estimation: tell each example's partner from K others. One direction; CRD adds two.

    similarities: (B, 1 + K), inner products of unit embeddings; column 0 is the example and its partner in the other
    network, the others are negatives. P = exp(similarities / temperature) / normalizer is what a candidate is
    estimated to be worth; normalizer: scalar, the Z of the estimate. example_count: n, of the training split; noise is
    uniform over it. With m = K / n:

        -1/B * sum_i [ log P_i0 / (P_i0 + m) + sum_k log m / (P_ik + m) ]

    1e-7 is added to both denominators. Never negative; the least it can be is above 0.

    Source: Tian, Krishnan, Isola 2020, "Contrastive Representation Distillation", section 3, in the form of its code
    (RepDistiller, `crd/criterion.py`), after Gutmann and Hyvarinen 2010; sums and mean as there, so that the published
    weight 0.8 belongs to it.
    """
    worth = (similarities / temperature).exp() / normalizer
    noise = (similarities.shape[1] - 1) / example_count
    positive, negatives = worth[:, 0], worth[:, 1:]
    found = (positive / (positive + noise + CONTRAST_EPSILON)).log().sum()
    refused = (noise / (negatives + noise + CONTRAST_EPSILON)).log().sum()
    return -(found + refused) / len(similarities)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors (..., D) divided by their L2 norm; those of length 0 stay 0 and get no gradient."""
    norm: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    zero = norm == 0
    return (vectors / norm.masked_fill(zero, 1)).masked_fill(zero, 0)


def _differences(embeddings: Tensor) -> Tensor:
    """(B, B, D): entry (j, i) leads from example j to example i. Exact zeros for equal ones, unlike a Gram matrix."""
    flat = embeddings.flatten(1)
    return flat[None] - flat[:, None]


def _scaled_distances(embeddings: Tensor) -> Tensor:
    """(B, B) distances over the mean of the positive ones; all 0 where there are none."""
    distances: Tensor = torch.linalg.vector_norm(_differences(embeddings), dim=2)
    mean = distances.sum() / (distances > 0).sum().clamp(min=1)
    return distances / mean.clamp(min=1e-12)


def _angles(embeddings: Tensor) -> Tensor:
    """(B, B, B): entry (j, i, k) is the cosine at corner j between the ways to i and to k."""
    ways = _unit(_differences(embeddings))
    return ways @ ways.transpose(1, 2)


def _neighbours(embeddings: Tensor) -> Tensor:
    """(B, B): row i is a distribution over the examples, by cosine."""
    unit = _unit(embeddings.flatten(1))
    likeness = (unit @ unit.T + 1) / 2
    return likeness / likeness.sum(1, keepdim=True)


def _correlations(embeddings: Tensor, kernel: Literal["bilinear", "gaussian"]) -> Tensor:
    """(B, B) of the kernel between every two embeddings."""
    if kernel == "bilinear":
        return embeddings @ embeddings.T
    unit, g = _unit(embeddings), 2 * KERNEL_GAMMA
    cosine = unit @ unit.T
    return (1 + g * cosine + g**2 / 2 * cosine**2) * torch.exp(torch.as_tensor(-g, dtype=cosine.dtype))
