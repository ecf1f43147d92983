"""Folding a teacher for its passes in bf16: where, what it changes, and when it is left alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kdbench.protocols import Batch
from kdbench.stages._folding import Folding
from kdbench.stages._shared_passes import SharedPasses
from kdbench.stages.lockstep import Lockstep
from kdbench.training import computing_in

CPU = torch.device("cpu")


class Teacher(nn.Module):
    """Two convolutions, each with a BatchNorm that was trained, in the second case within a container each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.relu = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(True)
        self.second, self.last = nn.Sequential(nn.Conv2d(8, 8, 3)), nn.Sequential(nn.BatchNorm2d(8), nn.Flatten())
        for norm in (self.norm, self.last[0]):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.relu(self.norm(self.first(x)))))


class Residual(Teacher):
    """The first convolution's output is used twice, which its BatchNorm alone does not show."""

    def forward(self, x: Tensor) -> Tensor:
        before = self.first(x)
        return self.last(self.second(self.norm(before) + before))


class Twice(Teacher):
    """One convolution works twice."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.first(x)) - self.norm(self.first(2 * x))


class Careful(Teacher):
    """Its second half computes in fp32 whatever the precision is."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        with torch.autocast(x.device.type, enabled=False):
            return self.last(self.second(x.float()))


def batch() -> Batch:
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch((images,), (), torch.arange(6), torch.zeros(6, dtype=torch.int64))


def folding(network: nn.Module) -> Folding:
    return Folding(network, batch().inputs)


def test_a_folded_network_is_near_to_fp32_as_bf16_is() -> None:
    network = Teacher()
    found = folding(network)
    with torch.no_grad():
        exact = network(*batch().inputs)
        with computing_in("bf16", CPU):
            plain = network(*batch().inputs)
            with found.at_work(network, found.foldable(network)):
                folded = network(*batch().inputs)
        assert torch.equal(network(*batch().inputs), exact), "its own modules stand where they stood"
    assert folded.dtype == plain.dtype == torch.bfloat16
    assert not torch.equal(folded, plain)
    for answer in (plain, folded):
        assert (answer - exact).std() < 2**-8 * exact.std(), "bf16 has 8 bits"


def test_what_a_teacher_computes_in_fp32_in_bf16_too_is_folded_in_fp32() -> None:
    network = Careful()
    found = folding(network)
    with torch.no_grad():
        exact = network(*batch().inputs)
        with computing_in("bf16", CPU), found.at_work(network, found.foldable(network)):
            folded = network(*batch().inputs)
    assert folded.dtype == torch.float32
    assert 0 < (folded - exact).std() < 2**-8 * exact.std()


@pytest.mark.parametrize(
    ("tap", "expected"),
    [
        ("", {"first", "second.0"}),
        ("relu", {"first", "second.0"}),
        ("first", {"second.0"}),
        ("norm", {"second.0"}),
        ("second", {"first"}),
        ("last", {"first"}),
        ("last.1", {"first", "second.0"}),
    ],
)
def test_a_pair_is_folded_unless_a_hook_would_see_it(tap: str, expected: set[str]) -> None:
    """`second` would give what is already normalised, and `last` would be given it."""
    network = Teacher()
    found = folding(network)
    network.get_submodule(tap).register_forward_hook(lambda module, inputs, output: None)
    assert found.foldable(network) == expected


@pytest.mark.parametrize("network", [Residual, Twice, lambda: Teacher().train()], ids=["residual", "twice", "training"])
def test_a_network_that_would_answer_otherwise_is_not_folded(network: Callable[[], nn.Module]) -> None:
    assert folding(network()).foldable(network()) == frozenset()


def passes(hooks: tuple[str | None, ...], precision: str) -> tuple[list[Tensor], list[int]]:
    """What copies with a hook at a path each answer to one batch, and how often the first convolution worked."""
    shared, given, lockstep = SharedPasses(), batch(), Lockstep()
    turns = [lockstep.turn() for _ in hooks]
    copies = [shared.copy(turn, Teacher) for turn in turns]
    worked: list[int] = []
    for turn, copy, hook in zip(turns, copies, hooks, strict=True):
        turn.at = (given, (0, 0))
        copy.relu.register_forward_hook(lambda module, inputs, output: worked.append(1))
        if hook is not None:
            copy.get_submodule(hook).register_forward_hook(lambda module, inputs, output: None)
    with torch.no_grad(), computing_in(precision, CPU):  # type: ignore[arg-type]
        answers = [shared.answer(turn, copy, given) for turn, copy in zip(turns, copies, strict=True)]
    return answers, worked


def test_in_bf16_what_one_student_taps_changes_no_other_students_answer() -> None:
    (alone,), _ = passes((None,), "bf16")
    (tapping,), _ = passes(("norm",), "bf16")
    assert not torch.equal(alone, tapping)
    answers, _ = passes(("norm", None, "norm", None), "bf16")
    assert [torch.equal(answer, alone) for answer in answers] == [False, True, False, True]
    assert [torch.equal(answer, tapping) for answer in answers] == [True, False, True, False]


def test_in_fp32_nothing_is_folded() -> None:
    (answer,), _ = passes((None,), "fp32")
    with torch.no_grad():
        assert torch.equal(answer, Teacher()(*batch().inputs))
