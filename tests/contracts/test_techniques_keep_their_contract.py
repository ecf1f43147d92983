"""Every registered technique, and those a user brings, holds to `kdbench.testing.check_technique`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from kdbench import registry, testing
from kdbench.errors import KdbenchError
from kdbench.protocols import Context, Technique
from kdbench.suite.reader import load

FIELDS = {
    "flow_of_solution": {"student_layers": ["layer1.0", "layer1"], "teacher_layers": ["layer1.0", "layer1"]},
    "inherit": {"trained": True},
    "low_rank": {"rank_fraction": 0.5},
    "mixed_distillation": {"ce_weight": 0.1, "kd_weight": 0.9},
    "structured_pruning": {"channel_fraction": 0.5},
    "teacher_assistant": {"assistants": [{"cnn": {"channels": [16, 48]}}]},
    "unstructured_pruning": {"weight_fraction": 0.5},
    "weight_only_quantization": {"smallest_layer": 256},
    "weight_sharing": {"bits": 4},
}
"""What has no default, or one that the bench's networks do not fit (equal channels, layer by layer)."""

OWN = '''
"""A technique of a user's own."""
import torch
from kdbench.protocols import Technique

class Smaller(Technique):
    """Multiply the last layer by a factor and fine-tune."""
    roles = frozenset({"finetune"})
    factor: float = 0.5

    def apply(self, model, ctx):
        with torch.no_grad():
            model.classifier.weight.mul_(self.factor)
        return ctx.fit(model, recipe="finetune")
'''
SUITE = """
kdbench: 1
name: own
task: digits
seeds: [0]
recipes: {{train: {{epochs: 1}}, finetune: {{epochs: 1}}}}
student: {{model: cnn}}
cases:
  from-scratch: []
  own: ['{name}': {{factor: 0.25}}]
measure: [{{provider: cpu}}]
"""


@pytest.mark.parametrize("name", registry.TABLE["technique"])
def test_registered_technique(name: str) -> None:
    technique = registry.resolve("technique", name).from_fields(FIELDS.get(name, {}))
    testing.check_technique(technique)
    assert technique.paper, f"{name} names no paper"


OF_VALUES = ("soft_distillation", "relational", "structured_pruning", "static_quantization")


@pytest.mark.parametrize("name", OF_VALUES)
def test_registered_technique_on_values(name: str) -> None:
    testing.check_technique(registry.resolve("technique", name).from_fields(FIELDS.get(name, {})), kinds=["values"])


def test_a_technique_is_checked_on_kinds_that_it_takes_only() -> None:
    with pytest.raises(AssertionError, match="refuses values"):
        testing.check_technique(registry.resolve("technique", "hard_distillation")(), kinds=["values"])


def test_a_technique_in_a_file_beside_the_suite(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "s.yaml").write_text(SUITE.format(name="mine.py:Smaller"))
    (step,) = load(tmp_path / "s.yaml").cases["own"].steps
    assert step.technique.to_fields() == {"factor": 0.25}
    testing.check_technique(step.technique)
    (tmp_path / "mine.py").write_text(OWN.replace("mul_(", "mul_(2 * "))
    (edited,) = load(tmp_path / "s.yaml").cases["own"].steps
    assert edited.spec.identity() != step.spec.identity()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution on the path that brings a technique by entry point."""
    (tmp_path / "third_party.py").write_text(OWN)
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kdbench.techniques]\nsmaller = third_party:Smaller\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.names.cache_clear()
    yield tmp_path
    registry.names.cache_clear()
    sys.modules.pop("third_party", None)


def test_a_technique_by_entry_point(installed: Path) -> None:
    assert "smaller" in registry.names("technique")
    (installed / "s.yaml").write_text(SUITE.format(name="smaller"))
    (step,) = load(installed / "s.yaml").cases["own"].steps
    testing.check_technique(step.technique)


def test_a_name_registered_twice_is_an_error(installed: Path) -> None:
    (installed / "third_party-1.0.dist-info" / "entry_points.txt").write_text(
        "[kdbench.techniques]\nsoft_distillation = third_party:Smaller\n"
    )
    with pytest.raises(KdbenchError, match="technique 'soft_distillation' is registered twice"):
        registry.names("technique")


NOISE = torch.Generator()
"""Goes on from call to call, whatever the seed."""


class Bad(Technique):
    """Breaks one promise at a time."""

    promise: str

    roles: ClassVar[frozenset[str]] = frozenset({"train"})

    def asks(self) -> frozenset[str]:
        return frozenset({"teacher_features"} if self.promise == "teacher" else ())

    def apply(self, model: object, ctx: Context) -> object:
        assert isinstance(model, nn.Module)
        if self.promise == "needs":
            ctx.teacher(next(iter(ctx.train)))
        if self.promise == "features":
            assert ctx.teacher_module
        if self.promise == "teacher":
            with torch.no_grad():
                next(ctx.teacher_module.parameters()).add_(1)
        if self.promise == "hook":
            model.register_forward_hook(lambda *_: None)
        if self.promise == "adapter":
            model.adapter = nn.Linear(2, 2)
        if self.promise == "determinism":
            next(model.parameters()).data.add_(torch.rand(1, generator=NOISE))
        return model.eval()

    def problem(self, model: object, ctx: Context) -> str | None:
        return "no sentence" if self.promise == "sentence" else None


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ("teacher", "Bad changes the teacher"),
        ("hook", "Bad leaves a hook on the student"),
        ("adapter", "Bad gives a network that cannot be built again: .*adapter.weight"),
        ("determinism", "Bad gives different results for the same seed"),
        ("needs", "its `needs` do not name 'teacher'"),
        ("features", "its `needs` do not name 'teacher_features'"),
        ("sentence", "a sentence or None was expected"),
    ],
)
def test_the_check_finds_a_broken_promise(promise: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_technique(Bad(promise=promise))
