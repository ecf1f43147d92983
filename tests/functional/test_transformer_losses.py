"""Losses inside transformers: values by hand, and values and gradients against sentence by sentence in plain loops."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kdbench import functional as F

LENGTHS = (5, 2, 3)
REAL = torch.arange(5)[None, :] < torch.tensor(LENGTHS)[:, None]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def alone(x: Tensor, number: int, axes: tuple[int, ...]) -> Tensor:
    """One sentence without its padding along axes of the batch."""
    found = x[number]
    for axis in axes:
        found = found.narrow(axis, 0, LENGTHS[number])
    return found


def mean_over_sentences(one: Callable[..., Tensor], axes: tuple[int, ...]) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of sentences, each by itself, averaged over them."""
    return lambda s, t: torch.stack([one(alone(s, i, axes), alone(t, i, axes)) for i in range(3)]).mean()


def distribution(scores: Tensor) -> Tensor:
    """Softmax row by row, in the words of its definition."""
    powers = torch.exp(scores - scores.amax(-1, keepdim=True))
    return powers / powers.sum(-1, keepdim=True)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """MiniLM, equation 3: sum over heads and queries of KL(teacher || student), / (h n)."""
    p, q = distribution(teacher), distribution(student)
    return (p * (torch.log(p) - torch.log(q))).sum() / (student.shape[0] * student.shape[1])


def relations(heads: int) -> Callable[[Tensor, Tensor], Tensor]:
    """MiniLM, equation 4 and 5, head by head: softmax(v v^T / sqrt(d))."""

    def scores(x: Tensor) -> Tensor:
        parts = x.chunk(heads, dim=1)
        return torch.stack([part @ part.T / math.sqrt(part.shape[1]) for part in parts])

    return lambda s, t: divergence(scores(s), scores(t))


def hidden(s: Tensor, t: Tensor) -> Tensor:
    """Over all real tokens of the batch at once."""
    rows = [(alone(s, i, (0,)) - alone(t, i, (0,))).square() for i in range(3)]
    return torch.cat(rows).sum() / (sum(LENGTHS) * s.shape[2])


def cosine(s: Tensor, t: Tensor) -> Tensor:
    pairs = [(a, b) for i in range(3) for a, b in zip(alone(s, i, (0,)), alone(t, i, (0,)), strict=True)]
    return sum((1 - a @ b / (a.norm() * b.norm()) for a, b in pairs), torch.zeros(())) / len(pairs)


def scores(s: Tensor, t: Tensor) -> Tensor:
    """TinyBERT, equation 7: (1 / h) sum over heads of MSE(s, t)."""
    return torch.stack([torch.nn.functional.mse_loss(a, b) for a, b in zip(s, t, strict=True)]).mean()


LOSSES = {
    "hidden_states": (F.hidden_states, hidden, (3, 5, 4)),
    "hidden_cosine": (F.hidden_cosine, cosine, (3, 5, 4)),
    "score_matching": (F.score_matching, mean_over_sentences(scores, (1, 2)), (3, 2, 5, 5)),
    "attention_divergence": (F.attention_divergence, mean_over_sentences(divergence, (1, 2)), (3, 2, 5, 5)),
    "relation_divergence": (
        lambda s, t, real: F.relation_divergence(s, t, real, 2),
        mean_over_sentences(relations(2), (0,)),
        (3, 5, 4),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_those_of_plain_loops(name: str) -> None:
    ours, theirs, shape = LOSSES[name]
    student, teacher = drawn(*shape).requires_grad_(), drawn(*shape, seed=1)
    value, expected = ours(student, teacher, REAL), theirs(student, teacher)
    torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value, student)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0])
    assert ours(teacher, teacher, REAL).abs() < 1e-12


@pytest.mark.parametrize("name", LOSSES)
def test_padding_says_nothing_and_more_of_it_changes_nothing(name: str) -> None:
    ours, _, shape = LOSSES[name]
    student, teacher = drawn(*shape), drawn(*shape, seed=1)
    value = ours(student, teacher, REAL)
    axes = range(2, len(shape)) if len(shape) == 4 else (1,)
    longer = [9 if axis in axes else size for axis, size in enumerate(shape)]
    kept = tuple(slice(size) for size in shape)
    padded = []
    for tensor, seed in ((student, 2), (teacher, 3)):
        wide = 1e3 * drawn(*longer, seed=seed)
        wide[kept] = tensor
        noise = torch.ones(shape, dtype=torch.bool) & ~both(REAL, shape)
        wide[kept][noise] = 1e3
        padded.append(wide)
    torch.testing.assert_close(ours(*padded, torch.nn.functional.pad(REAL, (0, 4))), value)


def both(real: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Which numbers belong to real tokens."""
    if len(shape) == 3:
        return real[:, :, None].expand(shape)
    return (real[:, None, :, None] & real[:, None, None, :]).expand(shape)


def test_values_by_hand() -> None:
    """KL of [3/4, 1/4] to [1/2, 1/2] is 0.130812; scores of log 3 and 0 are the former's."""
    teacher = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])[None, None]
    real = torch.ones(1, 2, dtype=torch.bool)
    assert F.attention_divergence(torch.zeros(1, 1, 2, 2), teacher, real).item() == pytest.approx(0.130812, abs=1e-6)
    one = torch.tensor([[True, False]])
    assert F.attention_divergence(torch.zeros(1, 1, 2, 2), teacher, one).item() == 0, "one key has all of a row"
    assert F.score_matching(torch.zeros(1, 1, 2, 2), teacher, real).item() == pytest.approx(math.log(3) ** 2 / 2)
    state = torch.tensor([[[3.0, 4.0], [9.0, 9.0]]])
    assert F.hidden_states(torch.zeros_like(state), state, one).item() == pytest.approx((9 + 16) / 2)
    assert F.hidden_cosine(torch.tensor([[[1.0, 0.0], [0, 1]]]), state, one).item() == pytest.approx(1 - 3 / 5)
    # |(1, 0) - (3/5, 4/5)|^2 = 4/25 + 16/25, and |(0, 1) - (-1, 0)|^2 = 2
    first, second = (
        (torch.tensor([[5.0, 0.0]]), torch.tensor([[3.0, 4.0]])),
        (torch.tensor([[0.0, 1.0]]), torch.tensor([[-7.0, 0.0]])),
    )
    assert F.patient([first[0], second[0]], [first[1], second[1]]).item() == pytest.approx(20 / 25 + 2)


def test_attention_of_a_layer_is_what_its_scores_say() -> None:
    """The scores, softmax and heads of ours are those of torch's own attention."""
    x, weights = drawn(2, 4, 6), [drawn(6, 6, seed=seed) for seed in (1, 2, 3)]
    query, key, value = (F.in_heads(x @ weight.T, 3) for weight in weights)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(F.attention_scores(query, key).softmax(-1) @ value, expected)
