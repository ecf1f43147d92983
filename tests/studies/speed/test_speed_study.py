"""The speed study: its ratios by hand, and what ran when from stages' files."""

import json
from pathlib import Path

import pytest
import torch
from calls import BLOCK, Nothing, differences, turn_about
from ratios import over_least, textbook, times
from stepping import Found, apart, gains, suite_gain
from timeline import Block, blocks, busy_fraction

COSTS = {
    **{f"textbook {name}": 10.0 for name in ("labels", "soft", "attention", "fitnet", "similarity")},
    "fp32 teacher's outputs stored": 8.0,
    "fp32 labels": 2.0,
    "fp32 soft": 2.5,
    "fp32 attention": 11.0,
    "fp32 fitnet": 10.5,
    "fp32 similarity": 9.0,
    "fp32 five techniques": 24.0,
}


def test_the_least_is_one_pass_of_the_teacher_and_each_students_own_steps() -> None:
    """8 for the teacher, 2 and 2.5 plain, 11 - 8 and 10.5 - 8, and 2 where 9 - 8 is less than a plain student's."""
    assert over_least("fp32", COSTS) == pytest.approx(24 / (8 + 2 + 2.5 + 3 + 2.5 + 2))
    assert (textbook(COSTS), times("fp32", COSTS)) == (50.0, pytest.approx(50 / 24))


def test_a_way_pays_for_its_start_and_leaves_the_teachers_passes_as_they_are() -> None:
    """10 s by eager steps, 3 s of compiling and 5 s of steps otherwise; then 8 of 24 s are the teacher's."""
    rows = {
        "eager": Found(0.0, [9.0, 10.0, 12.0], 0.0),
        "compiled": Found(3.0, [5.0, 5.0, 6.0], 0.0),
        "graph": "no CUDA",
    }
    assert gains(rows, 1000) == {"compiled": pytest.approx(10 / 8)}
    assert suite_gain(1.25, "fp32", [COSTS]) == pytest.approx(24 / (8 + 16 / 1.25))


def test_two_ways_are_apart_by_a_share_of_how_far_weights_went() -> None:
    before, expected, given = ([{"w": torch.tensor(values)}] for values in ([0.0, 0.0], [3.0, 4.0], [3.0, 4.5]))
    assert apart(given, expected, before) == pytest.approx(0.5 / 5)


def test_each_round_of_the_measuring_program_is_beside_a_bare_block_of_as_many_calls() -> None:
    bare: list[int] = []
    without, samples, rounds = turn_about(Nothing(), lambda: bare.append(BLOCK), 3)
    assert bare == [BLOCK] * 3
    assert all(sample <= whole for sample, whole in zip(samples, rounds, strict=True)), "it is a part of the round"
    assert differences(([2.0], [3.5], [9.0])) == [1.5]
    assert len(without) == len(samples)


def finished(store: Path, key: str, kind: str, process: int, began: int, ended: int) -> None:
    folder = store / "stages" / key[:2] / key
    folder.mkdir(parents=True)
    when = {name: f"2026-12-01T10:00:{second:02d}.000+00:00" for name, second in (("began", began), ("ended", ended))}
    stage = {"spec": {"kind": kind}, "process": process, "began_utc": when["began"], "ended_utc": when["ended"]}
    (folder / "stage.json").write_text(json.dumps(stage))


def test_stages_of_one_group_are_one_bar_from_its_beginning_to_its_last_end(tmp_path: Path) -> None:
    finished(tmp_path, "aa", "train", 7, began=10, ended=14)
    finished(tmp_path, "bb", "compress", 8, began=12, ended=18)
    finished(tmp_path, "bc", "teach", 8, began=12, ended=20)
    finished(tmp_path, "cc", "measure", 7, began=20, ended=50)
    ran = blocks(tmp_path)
    assert ran == [
        Block(7, ("train",), 0.0, 4.0),
        Block(8, ("compress", "teach"), 2.0, 10.0),
        Block(7, ("measure",), 10.0, 40.0),
    ]
    assert busy_fraction(ran) == pytest.approx((4 + 8) / (2 * 10)), "the measurement is left out"
