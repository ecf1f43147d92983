"""Deep mutual learning: the loss of each student, that they learn beside each other, and what is left of the peers."""

import math

import pytest
import torch
import torch.nn.functional as nnf
from pydantic import ValidationError

from kdbench.techniques.teachers.deep_mutual_learning import DeepMutualLearning


class Captured:
    """What the technique hands to the loop; the peers answer from given logits."""

    def __init__(self, technique, ctx, student):
        ctx.fit = self.fit
        technique.apply(student, ctx)

    def fit(self, model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        self.loss, self.extra = loss, extra
        return model


class Says(torch.nn.Module):
    """A peer whose logits are its parameters."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, images):
        return self.logits


def divergence(of, to, temperature):
    """KL(softmax(of / T) || softmax(to / T)), summed by hand, averaged over the rows."""
    total = 0.0
    for first, second in zip(of.tolist(), to.tolist(), strict=True):
        p, q = ([math.exp(value / temperature) for value in row] for row in (first, second))
        p, q = [value / sum(p) for value in p], [value / sum(q) for value in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(of)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_each_of_three_students_learns_the_labels_and_the_mean_of_what_the_other_two_say(context, build, temperature):
    said = [torch.randn(96, 10, dtype=torch.float64) for _ in range(3)]
    technique = DeepMutualLearning(peers=3, ce_weight=0.5, kd_weight=2, temperature=temperature)
    ctx = context(architecture="mlp")
    answers = iter(said[1:])
    ctx.fresh = lambda number, model=None: Says(next(answers).clone())
    captured, batch = Captured(technique, ctx, build("mlp")), next(iter(ctx.train))

    parts = captured.loss(batch, (said[0],))

    def mutual(own):
        others = [divergence(said[other], said[own], temperature) for other in range(3) if other != own]
        return 2 * temperature**2 * sum(others) / 2

    # the peers answer through .float()
    assert parts["ce"].item() == pytest.approx(0.5 * nnf.cross_entropy(said[0], batch.targets[0]).item(), rel=1e-6)
    assert parts["mutual"].item() == pytest.approx(mutual(0), rel=1e-5)
    labels = sum(0.5 * nnf.cross_entropy(said[own], batch.targets[0]).item() for own in (1, 2))
    assert parts["peers"].item() == pytest.approx(labels + mutual(1) + mutual(2), rel=1e-5)


def test_what_the_others_say_is_constant_so_that_each_loss_moves_its_own_student(context, build):
    ctx = context()
    peer, own = Says(torch.randn(96, 10)), torch.randn(96, 10, requires_grad=True)
    ctx.fresh = lambda number, model=None: peer
    captured, batch = Captured(DeepMutualLearning(), ctx, build("mlp")), next(iter(ctx.train))
    parts = captured.loss(batch, (own,))

    torch.stack(list(parts.values())).sum().backward()

    labels = nnf.one_hot(batch.targets[0], 10)
    p, q = own.detach().softmax(1), peer.logits.detach().softmax(1)
    assert torch.allclose(own.grad, ((p - labels) + (p - q)) / 96, atol=1e-6)
    assert torch.allclose(peer.logits.grad, ((q - labels) + (q - p)) / 96, atol=1e-6)


def test_peers_of_one_mind_have_nothing_to_teach_but_the_control_takes_a_neighbours_answer(context, build):
    ctx, said = context(), torch.randn(96, 10)
    ctx.fresh = lambda number, model=None: Says(said.clone())
    batch = next(iter(ctx.train))
    agreed = Captured(DeepMutualLearning(), ctx, build("mlp")).loss(batch, (said,))
    control = Captured(DeepMutualLearning(shuffled=True), ctx, build("mlp")).loss(batch, (said,))
    assert agreed["mutual"].item() == pytest.approx(0, abs=1e-6)
    assert control["mutual"].item() == pytest.approx(divergence(said.roll(1, 0), said, 1.0), rel=1e-4)


def test_labels_alone_are_from_scratch_bit_for_bit(context, build):
    scratch = context().fit(build("residual"))
    taught = DeepMutualLearning(kd_weight=0).apply(build("residual"), context())
    assert all(torch.equal(value, taught.state_dict()[name]) for name, value in scratch.state_dict().items())


def test_students_come_closer_to_each_other_than_two_that_learn_alone(context, build):
    ctx = context(epochs=20, architecture="plain")
    peers, fresh = [], ctx.fresh
    ctx.fresh = lambda number, model=None: peers.append(fresh(number, model)) or peers[-1]
    together = (DeepMutualLearning(kd_weight=4).apply(build("plain"), ctx), *peers)
    alone = [context(epochs=20).fit(network) for network in (build("plain"), fresh(1))]
    unseen = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(5))

    def apart(pair):
        first, second = (network.eval()(unseen).softmax(1) for network in pair)
        return (first - second).abs().sum(1).mean().item()

    assert apart(together) < 0.95 * apart(alone)


def test_students_learn_the_labels_and_only_the_given_one_is_left(context, build):
    ctx = context(epochs=20, architecture="plain")
    peers, fresh = [], ctx.fresh
    ctx.fresh = lambda number, model=None: peers.append(fresh(number, model)) or peers[-1]
    started = [network[0].weight.clone() for network in (build("plain"), fresh(1), fresh(2))]
    student = build("plain")
    names = list(student.state_dict())

    result = DeepMutualLearning(peers=3).apply(student, ctx)

    first, last = ctx.history.terms_by_epoch[0], ctx.history.terms_by_epoch[-1]
    assert set(first) == {"ce", "mutual", "peers"}
    assert last["ce"] < 0.5 * first["ce"]
    assert last["peers"] < 0.5 * first["peers"]
    assert result is student
    assert list(result.state_dict()) == names
    ended = [network[0].weight for network in (student, *peers)]
    assert not torch.equal(started[1], started[2])
    assert all(not torch.equal(before, after) for before, after in zip(started, ended, strict=True))
    # in training mode each peer keeps statistics of its own
    means = [network[1].running_mean for network in (student, *peers)]
    assert not any(torch.equal(means[0], mean) for mean in means[1:])


def test_peers_may_be_of_another_architecture(context, build):
    ctx = context(architecture="plain")
    asked, fresh = [], ctx.fresh
    ctx.fresh = lambda number, model=None: asked.append((number, model)) or fresh(number, model)
    DeepMutualLearning(peer_model="mlp", peers=3).apply(build("plain"), ctx)
    assert asked == [(1, "mlp"), (2, "mlp")]
    assert DeepMutualLearning(peer_model="mlp").identity()["peer_model"]["name"] == "mlp"


@pytest.mark.parametrize(
    "fields", [{"peers": 1}, {"ce_weight": 0}, {"temperature": 0}, {"peer_model": "resnet21"}, {"peer_model": 3}]
)
def test_bad_fields_are_refused(fields):
    with pytest.raises(ValidationError):
        DeepMutualLearning.from_fields(fields)
