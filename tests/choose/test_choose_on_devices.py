"""Choosing where references were timed too, and on a device whose record was merged."""

from collections.abc import Callable
from pathlib import Path

import pytest
from by_hand import CPU, PHONE, Given, Shelf

from kdbench.choose import choose
from kdbench.errors import KdbenchError
from kdbench.render.verbs.choice import basis
from kdbench.results import records
from kdbench.results.records import Score

TORCH = "local-torch-1t-fp32"
Build = Callable[..., Shelf]


@pytest.fixture
def shelf(tmp_path: Path) -> Build:
    def build(targets: tuple[str, ...]) -> Shelf:
        def given(times: float, phone: float) -> Given:
            of = {CPU: times, PHONE: phone, TORCH: 10 * times}
            return Given(microseconds={target: (of[target], of[target] + 1, of[target] + 2) for target in targets})

        cases = {"teacher": given(300, 900), "from-scratch": given(100, 300), "small": given(50, 400)}
        return Shelf(tmp_path / "results", cases, targets=targets)

    return build


def test_a_reference_is_never_chosen_on(shelf: Build) -> None:
    choice = choose(shelf((TORCH, CPU)).write())
    assert [device.target for device in choice.devices] == [CPU]
    assert choice.untimed == ()
    assert choice.one_for_all is None


def test_asking_for_a_reference_is_refused_with_the_targets_there_are(shelf: Build) -> None:
    with pytest.raises(KdbenchError, match=rf"nobody deploys to '{TORCH}', .*; choose on {CPU}, {PHONE}\."):
        choose(shelf((TORCH, CPU, PHONE)).write(), targets=[TORCH])


def test_where_only_references_were_timed_nothing_can_be_chosen(shelf: Build) -> None:
    with pytest.raises(KdbenchError, match="nothing but references was timed in"):
        choose(shelf((TORCH,)).write())


def test_each_device_has_its_own_pick_beside_references(shelf: Build) -> None:
    choice = choose(shelf((TORCH, CPU, PHONE)).write())
    assert {device.target: device.pick.case for device in choice.devices if device.pick} == {
        CPU: "small",
        PHONE: "from-scratch",
    }
    assert choice.one_for_all is not None
    assert choice.one_for_all.case == "small"


def test_a_device_that_answered_test_examples_only_is_said(shelf: Build) -> None:
    path = shelf((CPU, PHONE)).write()
    file = path / "records.jsonl"
    kept = [r for r in records.read(file) if not (isinstance(r, Score) and r.target == PHONE and r.split != "test")]
    file.unlink()
    records.append(file, kept)
    choice = choose(path)
    assert {device.target: device.split for device in choice.devices} == {CPU: "validation", PHONE: "test"}
    assert basis(choice).startswith(
        "Chosen on the validation split, told in numbers of the test split; on phone, cpu, 4 threads, only test "
        "examples were answered, so there the pick's accuracy flatters it."
    )
