"""A student that begins with its teacher's weights: which blocks, which numbers, and what stays new."""

from pathlib import Path
from typing import Any

import pytest
import torch
from text_context import TextContext, encoder

from kdbench.errors import TechniqueError
from kdbench.models.encoder import Encoder
from kdbench.techniques.weights.inherit import Inherit

FIELDS = {"width": 16, "heads": 4, "dropout": 0.0}


def context(tmp_path: Path, student: dict[str, Any], teacher: dict[str, Any]) -> TextContext:
    declared = [Encoder.from_fields({**FIELDS, **one}) for one in (student, teacher)]
    return TextContext(tmp_path, *declared, encoder(seed=1, **teacher))


@pytest.mark.parametrize(
    ("rule", "taken"), [("alternate", (0, 3)), ("uniform", (2, 5)), ("first", (0, 1)), ("last", (4, 5))]
)
def test_blocks_come_from_where_the_rule_says(rule: str, taken: tuple[int, int], tmp_path: Path) -> None:
    ctx = context(tmp_path, {}, {"depth": 6})
    student = Inherit.from_fields({"layer_map": rule}).apply(encoder(seed=2), ctx)
    theirs = ctx.teacher_module.state_dict()
    for name, tensor in student.state_dict().items():
        for own, its in enumerate(taken):
            name = name.replace(f"layers.{own}.", f"layers.#{its}.")
        assert torch.equal(tensor, theirs[name.replace("#", "")]), name
    assert ctx.notes == [
        f"inherit took layers.0 from layers.{taken[0]}, layers.1 from layers.{taken[1]}; 38 of 38 tensors."
    ]


def test_a_student_as_deep_and_wide_answers_as_its_teacher(tmp_path: Path) -> None:
    ctx = context(tmp_path, {}, {})
    student = Inherit().apply(encoder(seed=2), ctx)
    assert torch.equal(student.eval()(*ctx.example), ctx.teacher_module(*ctx.example))


def test_narrower_layers_take_the_first_heads_and_numbers(tmp_path: Path) -> None:
    ctx = context(tmp_path, {"width": 8, "heads": 2}, {"depth": 2})
    student = Inherit().apply(encoder(seed=2, width=8, heads=2), ctx)
    theirs = ctx.teacher_module.layers[1].attention
    own = student.layers[1].attention
    assert torch.equal(own.query.weight, theirs.query.weight[:8, :8])
    assert torch.equal(own.query.bias, theirs.query.bias[:8])
    assert "38 of 38 tensors, 37 of them cut to the student's size" in ctx.notes[0]


def test_named_blocks_are_taken_and_wider_ones_stay_new(tmp_path: Path) -> None:
    ctx = context(tmp_path, {"inner_width": 100}, {"depth": 3})
    before = encoder(seed=2, inner_width=100)
    named = {"student_layers": ["layers.1"], "teacher_layers": ["layers.2"]}
    student = Inherit.from_fields(named).apply(encoder(seed=2, inner_width=100), ctx)
    theirs = ctx.teacher_module
    assert torch.equal(student.layers[1].attention.key.weight, theirs.layers[2].attention.key.weight)
    assert torch.equal(student.layers[1].wide.weight, before.layers[1].wide.weight)
    assert torch.equal(student.layers[0].attention.key.weight, before.layers[0].attention.key.weight)
    assert ctx.notes[0].startswith("inherit took layers.1 from layers.2; ")
    assert "new: layers.0.attention.query.weight" in ctx.notes[0]


def test_it_trains_only_where_it_is_told_to(tmp_path: Path) -> None:
    ctx = context(tmp_path, {}, {"depth": 4})
    assert Inherit().trains_under() == frozenset()
    Inherit().apply(encoder(seed=2), ctx)
    assert ctx.terms == []
    Inherit(trained=True).apply(encoder(seed=2), ctx)
    assert set(ctx.terms[0]) == {"ce"}


def test_what_cannot_be_taken_over_is_refused(tmp_path: Path) -> None:
    ctx = context(tmp_path, {"depth": 3}, {"depth": 2})
    with pytest.raises(TechniqueError, match="the student has 3 blocks and the teacher 2; name the pairs"):
        Inherit().apply(encoder(seed=2, depth=3), ctx)
    with pytest.raises(ValueError, match="as many here as there"):
        Inherit(student_layers=("layers.0",))
