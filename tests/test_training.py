"""The loop on problems whose answer is known: schedules, selection, stopping, resuming, divergence."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdbench.errors import ModelError, TechniqueError, TrainingError
from kdbench.protocols import Batch, Outputs, TaskDescription
from kdbench.protocols.data import Input, Output, SymbolicAxis
from kdbench.protocols.recipe import Recipe
from kdbench.training import Examples, Training, decisive_metric, rate_factor, score
from kdbench.training.term_log import READ_EVERY, TermLog


def batch(inputs: Tensor, targets: Tensor) -> Batch:
    count = torch.arange(len(targets))
    return Batch((inputs,), (targets,), count, torch.zeros_like(count))


TASK = TaskDescription.classification(
    input_names=("point",), input_shapes=((2,),), class_names=("left", "right"), example_counts={}
)
POINTS = torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
LABELS = torch.tensor([0, 0, 1, 1])


def separable(epoch: int) -> Iterator[Batch]:
    """Four points on a line, in an order that depends on the epoch."""
    order = torch.roll(torch.arange(4), epoch)
    for part in order.split(2):
        yield batch(POINTS[part], LABELS[part])


def whole() -> Iterator[Batch]:
    yield batch(POINTS, LABELS)


EXAMPLES = Examples(separable, whole, train_count=4)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))


def recipe(**fields: object) -> Recipe:
    return Recipe.from_fields({"epochs": 6, "batch_size": 2, "learning_rate": 0.1, **fields})  # type: ignore[return-value]


def train(chosen: Recipe, model: nn.Module) -> Training:
    torch.manual_seed(1)
    training = Training(model, chosen, TASK, EXAMPLES)
    training.run()
    return training


def weights(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def same(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(map(torch.equal, one, two))


def test_it_learns_a_separable_problem_and_logs_every_epoch() -> None:
    model = network()
    history = train(recipe(epochs=30), model).history
    assert score(model, whole(), decisive_metric(TASK)) == 1.0
    assert history.terms_by_epoch[-1]["ce"] < 0.5 * history.terms_by_epoch[0]["ce"]
    assert len(history.terms_by_epoch) == len(history.validation_by_epoch) == history.selected_epoch == 30
    assert not model.training


def test_the_same_seed_gives_the_same_bits() -> None:
    one, two = network(), network()
    train(recipe(), one)
    train(recipe(), two)
    assert same(weights(one), weights(two))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_training_resumed_from_its_checkpoint_ends_in_the_same_bits(optimizer: str, tmp_path: Path) -> None:
    chosen = recipe(optimizer=optimizer, schedule="cosine", select="validation")
    straight = network()
    train(chosen, straight)

    def stop_after_three(training: Training) -> None:
        if training.history.epoch_count == 3:
            training.save(tmp_path / "checkpoint.pt")
            raise KeyboardInterrupt

    stopped = network()
    torch.manual_seed(1)
    with pytest.raises(KeyboardInterrupt):
        Training(stopped, chosen, TASK, EXAMPLES).run(stop_after_three)
    resumed = network(seed=99)
    torch.manual_seed(7)
    training = Training(resumed, chosen, TASK, EXAMPLES)
    training.load(tmp_path / "checkpoint.pt")
    assert training.run().epoch_count == 6
    assert same(weights(resumed), weights(straight))


def test_the_optimizer_is_torchs_own_sgd_with_momentum_and_decay() -> None:
    ours, theirs = network(), network()
    chosen = recipe(epochs=1, weight_decay=0.01, nesterov=True)
    train(chosen, ours)
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1, 0.9, nesterov=True, weight_decay=0.01)
    theirs.train()
    for part in separable(0):
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(*part.inputs), part.targets[0]).backward()
        optimizer.step()
    assert same([p.data for p in ours.parameters()], [p.data for p in theirs.parameters()])


def by_hand(optimizer: torch.optim.Optimizer, model: nn.Module, clip_norm: float | None = None) -> list[Tensor]:
    """The parameters after one epoch, in torch's own words."""
    torch.manual_seed(1)
    model.train()
    for part in separable(0):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(*part.inputs), part.targets[0]).backward()
        if clip_norm is not None:
            norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()  # type: ignore[union-attr]
            for parameter in model.parameters():
                parameter.grad *= min(1.0, clip_norm / (float(norm) + 1e-6))
        optimizer.step()
    return [p.data for p in model.parameters()]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_decay_of_matrices_leaves_biases_and_normalisations_alone(optimizer: str) -> None:
    ours, theirs = network(), network()
    train(recipe(epochs=1, optimizer=optimizer, weight_decay=0.5, decay="matrices", nesterov=False), ours)
    matrices = [module.weight for module in theirs.modules() if isinstance(module, nn.Linear)]
    vectors = [p for p in theirs.parameters() if all(p is not matrix for matrix in matrices)]
    groups = [{"params": matrices, "weight_decay": 0.5}, {"params": vectors, "weight_decay": 0.0}]
    torchs = torch.optim.SGD(groups, 0.1, 0.9) if optimizer == "sgd" else torch.optim.AdamW(groups, 0.1)
    assert same([p.data for p in ours.parameters()], by_hand(torchs, theirs))


def test_a_gradient_longer_than_clip_norm_is_shortened_and_a_shorter_one_stays() -> None:
    for clip_norm in (1e-3, 1e3):
        ours, theirs = network(), network()
        train(recipe(epochs=1, weight_decay=0.0, clip_norm=clip_norm), ours)
        expected = by_hand(torch.optim.SGD(theirs.parameters(), 0.1, 0.9), theirs, clip_norm)
        for mine, its in zip(ours.parameters(), expected, strict=True):
            torch.testing.assert_close(mine.data, its)


def test_linear_schedule_rises_then_falls_to_zero_along_a_line() -> None:
    chosen = recipe(epochs=10, schedule="linear", warmup_epochs=2.0)
    factors = [rate_factor(chosen, epochs) for epochs in (0, 1, 2, 6, 8, 10)]
    assert factors == pytest.approx([0, 0.5, 1, 0.5, 0.25, 0])


def test_step_schedule_falls_after_the_epochs_it_names() -> None:
    chosen = recipe(epochs=240, steps_down=[150, 180, 210])
    factors = [rate_factor(chosen, epochs) for epochs in (0, 149.99, 150, 180, 239)]
    assert factors == pytest.approx([1, 1, 0.1, 0.01, 0.001])


def test_cosine_schedule_rises_linearly_then_falls_to_zero() -> None:
    chosen = recipe(epochs=10, schedule="cosine", warmup_epochs=2.0)
    assert rate_factor(chosen, 1) == 0.5
    assert rate_factor(chosen, 2) == 1
    assert rate_factor(chosen, 6) == pytest.approx(0.5)
    assert rate_factor(chosen, 10) == pytest.approx(0, abs=1e-12)


class Scripted(Training):
    """A training whose validation accuracies are given."""

    scores: tuple[float, ...] = ()

    def _validate(self) -> None:
        self.history.validation_by_epoch.append(self.scores[self.history.epoch_count - 1])


def scripted(chosen: Recipe, *scores: float) -> int:
    training = Scripted(network(), chosen, TASK, EXAMPLES)
    training.scores = scores
    return training.run().epoch_count


def test_patience_counts_epochs_without_a_better_validation_accuracy() -> None:
    assert scripted(recipe(patience=2), 0.5, 0.7, 0.6, 0.7, 0.9, 0.9) == 4


def test_training_stops_at_the_validation_target() -> None:
    assert scripted(recipe(stop_at=0.8), 0.5, 0.8, 0.9, 0.9, 0.9, 0.9) == 2


def test_selection_takes_the_first_epoch_that_is_best_on_validation() -> None:
    seen: dict[int, list[Tensor]] = {}
    model = network()
    torch.manual_seed(1)
    training = Training(model, recipe(select="validation"), TASK, EXAMPLES)
    history = training.run(lambda t: seen.update({t.history.epoch_count: weights(t.model)}))
    best = history.validation_by_epoch.index(max(history.validation_by_epoch)) + 1
    assert history.selected_epoch == best
    assert same(weights(model), seen[best])


def test_without_a_validation_split_nothing_can_be_selected() -> None:
    without = Examples(separable, None, 4)
    with pytest.raises(TrainingError, match="selects or stops on validation, but the task has no validation split"):
        Training(network(), recipe(select="validation"), TASK, without)
    assert Training(network(), recipe(), TASK, without).run().validation_by_epoch == []


def test_a_loss_that_is_not_finite_stops_with_its_terms() -> None:
    def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
        return {"ce": outputs[0].sum() * 0 + 2.5, "hint": outputs[0].sum() * math.inf}

    with pytest.raises(TrainingError, match=r"not finite in epoch 1, step 1: ce = 2\.5, hint = (nan|-?inf)\."):
        Training(network(), recipe(), TASK, EXAMPLES, loss).run()


def test_terms_are_logged_by_name_as_means_over_examples() -> None:
    def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
        zero = outputs[0].sum() * 0
        return {"first": zero + batch.inputs[0][:, 0].mean(), "second": zero + 3.0}

    history = Training(network(), recipe(epochs=1), TASK, EXAMPLES, loss).run()
    assert history.terms_by_epoch == [{"first": pytest.approx(0.0), "second": 3.0}]


def test_extra_modules_are_trained_beside_the_student() -> None:
    extra = nn.Linear(2, 1)
    before = extra.weight.detach().clone()

    def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
        return {"hint": (extra(batch.inputs[0]) - 1).square().mean() + 0 * outputs[0].sum()}

    Training(network(), recipe(epochs=2), TASK, EXAMPLES, loss, extra).run()
    assert not torch.equal(extra.weight, before)


def test_losses_are_read_once_an_epoch_and_the_one_that_is_no_number_is_told_with_its_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[int] = []
    read = TermLog._read
    monkeypatch.setattr(TermLog, "_read", lambda log: (reads.append(len(log._unread)), read(log)))
    train(recipe(epochs=3), network())
    assert reads == [2, 2, 2]

    def second_is_none(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
        if bool(torch.isnan(outputs[0]).any()):
            raise ValueError("what a loss may say when the weights are gone")
        return {"ce": outputs[0].sum() * (math.inf if 2.0 in batch.inputs[0] else 1.0)}

    def thrice(epoch: int) -> Iterator[Batch]:
        yield from [*separable(0), *separable(0)]

    with pytest.raises(TrainingError, match=r"not finite in epoch 1, step 2: ce = (nan|-?inf)\."):
        Training(network(), recipe(), TASK, Examples(thrice, None, 4), second_is_none).run()


def test_a_long_epoch_is_stopped_soon_after_a_loss_that_is_no_number() -> None:
    log = TermLog(epoch=4)
    for _ in range(READ_EVERY - 1):
        log.note(2, ["a", "b"], torch.tensor([1.0, math.nan]))
    with pytest.raises(TrainingError, match=r"epoch 5, step 1: a = 1, b = nan\."):
        log.note(2, ["a", "b"], torch.tensor([1.0, 2.0]))


def test_terms_that_only_some_steps_have_are_means_over_all_examples() -> None:
    log = TermLog(epoch=0)
    log.note(3, ["a"], torch.tensor([1.0]))
    log.note(1, ["a", "b"], torch.tensor([5.0, 8.0]))
    assert log.means() == {"a": 2.0, "b": 2.0}


def test_bf16_keeps_fp32_weights_and_learns() -> None:
    model = network()
    train(recipe(epochs=30, precision="bf16"), model)
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert score(model, whole(), decisive_metric(TASK)) == 1.0


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda batch, logits: logits[0].mean(), "the loss gives a Tensor, and {name: term}"),
        (lambda batch, logits: {"ce": 0.5}, "the loss gives {'ce': float}"),
        (lambda batch, logits: {"ce": logits[0].mean(1)}, r"the loss gives {'ce': Tensor of shape (2,)}"),
        (lambda batch, logits: {}, "the loss gives no term"),
    ],
)
def test_a_loss_that_gives_no_terms_is_refused_at_the_first_step(loss, said):
    with pytest.raises(TechniqueError, match=re.escape(said)):
        Training(network(), recipe(), TASK, EXAMPLES, loss).run()


def test_a_model_that_gives_a_tuple_while_it_trains_is_refused_at_the_first_step():
    class Two(nn.Linear):
        def forward(self, x):
            return (super().forward(x), x) if self.training else super().forward(x)

    with pytest.raises(ModelError, match="Two gives a tuple of 2, and one tensor was expected"):
        Training(Two(2, 2), recipe(), TASK, EXAMPLES).run()


NUMBERS = TaskDescription(
    inputs=TASK.inputs, outputs=(Output(name="y", kind="values", axes=(1,), unit="m"),), example_counts={}
)


def test_of_values_the_lowest_error_is_the_best_epoch() -> None:
    """RMSE is lower where it is better: selection, patience and the end all go by it."""
    examples = Examples(separable, whole, train_count=4)
    training = Training(network(), recipe(stop_at=0.5, patience=2), NUMBERS, examples)
    training.history.validation_by_epoch = [3.0, 1.0, 2.0]
    training.history.terms_by_epoch = [{}] * 3
    assert training._first_best() == 2
    assert not training._finished()
    training.history.validation_by_epoch[-1] = 0.4
    assert training._finished()
    in_megawatts = Training(network(), recipe(stop_at=2.5), NUMBERS, examples)
    in_megawatts.history.validation_by_epoch, in_megawatts.history.terms_by_epoch = [2.4], [{}]
    assert in_megawatts._finished()


def test_a_score_of_values_is_that_of_all_examples_and_without_padding() -> None:
    """Errors 1, 1, 1 and 3 make an RMSE of sqrt(3); a mean over batches would be 1.6."""

    def batches() -> Iterator[Batch]:
        yield batch(torch.zeros(3, 1), torch.ones(3, 1))
        yield batch(torch.zeros(1, 1), torch.full((1, 1), 3.0))

    found = score(nn.Identity(), batches(), decisive_metric(NUMBERS))
    assert found == pytest.approx(math.sqrt(3))
    said = Output(kind="token_classes", axes=("length", 2), class_names=("O", "B-X"), metrics=("macro_f1",))
    task = TaskDescription(inputs=(Input(name="t", axes=("length",)),), axes=(SymbolicAxis(name="length"),),
                           outputs=(said,), example_counts={})  # fmt: skip
    logits = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]])  # the third token is padding, and wrong
    padded = replace(batch(logits, torch.tensor([[1, 0, 0]])), lengths={"length": torch.tensor([2])})
    assert score(nn.Identity(), iter([padded]), decisive_metric(task)) == 1.0
