"""Choosing where weights came from outside, and between students of one task."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from by_hand import CPU, Given, Shelf

from kdbench.choose import choose
from kdbench.evidence import evidence
from kdbench.render.verbs.choice import basis
from kdbench.render.words.sentences import sentences

Build = Callable[..., Path]
QUICK = {CPU: (50.0, 50.5, 49.5)}


@pytest.fixture
def shelf(tmp_path: Path) -> Build:
    def build(cases: dict[str, Given], origin: str = "own", **said: dict[str, Any]) -> Path:
        """`said`: case (dashes as underscores) -> what the plan says of it beside the usual."""
        path = Shelf(tmp_path / "results", cases).write()
        plan = json.loads((path / "plan.json").read_text())
        for name, fields in said.items():
            plan["cases"][name.replace("_", "-")] |= fields
        (path / "plan.json").write_text(json.dumps(plan))
        description = {"input_names": ["x"], "input_shapes": [[1]], "class_names": list("abcdefghij"),
                       "example_counts": {}, "validation_origin": origin}  # fmt: skip
        (path / "task.json").write_text(json.dumps({"name": "t", "data_key": "d", "description": description}))
        return path

    return build


SEEN = {
    "from-scratch": Given(wrong=(40, 41, 42), wrong_on_test=(40, 41, 42)),
    "transferred": Given(wrong=(2, 2, 3), wrong_on_test=(80, 81, 82), microseconds=QUICK),
}


@pytest.mark.parametrize(
    ("origin", "given", "split", "picked"),
    [
        ("train", True, "test", "from-scratch"),
        ("own", True, "validation", "transferred"),
        ("train", False, "validation", "transferred"),
    ],
)
def test_validation_that_given_weights_may_have_seen_decides_nothing(
    shelf: Build, origin: str, given: bool, split: str, picked: str
) -> None:
    choice = choose(shelf(SEEN, origin, transferred={"given": given}))
    (device,) = choice.devices
    assert device.pick is not None
    assert (device.split, device.pick.case) == (split, picked)
    assert device.is_validation_seen == (split == "test")


def test_it_is_said_why(shelf: Build) -> None:
    path = shelf(SEEN, "train", transferred={"given": True})
    reason = "which may have been trained on the validation examples"
    assert reason in basis(choose(path))
    assert reason in " ".join(one.text for one in sentences(evidence(path)))


def test_weights_that_nothing_starts_from_are_said(shelf: Build) -> None:
    found = evidence(shelf(SEEN, transferred={"has_unused_weights": True})).findings
    assert any("`transferred` trains `s` from new weights" in one.sentence for one in found)


ACROSS = {
    "from-scratch": Given(wrong=(20, 20, 21), kilobytes=100),
    "other/from-scratch": Given(wrong=(40, 40, 41), kilobytes=50, microseconds=QUICK),
    "other": Given(wrong=(12, 12, 13), kilobytes=50, microseconds=QUICK),
}


def test_the_pick_is_told_against_the_suites_baseline_too_where_its_own_is_another(shelf: Build) -> None:
    named = {"student": "o", "baseline": "other/from-scratch"}
    path = shelf(ACROSS, **{"other": named, "other/from_scratch": named})
    pick = choose(path).devices[0].pick
    assert pick is not None
    assert [one.case for one in pick.against][-2:] == ["other/from-scratch", "from-scratch"]
    across = pick.against[-1]
    assert across.score is not None
    assert across.score.value == pytest.approx(8 / 400)
    assert across.score.adjusted_p is not None
    assert across.compression_ratio == pytest.approx(2)
    assert across.speedup is not None
    assert across.speedup.value == pytest.approx(2.02, abs=0.01)
