"""The gate's benchmark: its networks, its neighbour, its other gates, its rows and what the page makes of them."""

import itertools
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from busy import BURST_S, bursts, neighbour
from cells import GATE, cells, percent_slower, together
from naive import Summary, by_means, by_medians, by_ranks, summary
from nets import NETWORKS, SIDES
from order import BLOCK, places
from page import write_report
from rows import Row, append_row, before, read_rows
from trials import Bench, trial

from kdbench.timing.duel import Effort

MACHINE = {"cpu": "a processor", "logical_core_count": 2, "system": "Linux", "versions": {"onnxruntime": "1.31.1"}}
ROW = Row(
    network="resnet20",
    busy=False,
    meant_percent=0,
    trial=0,
    units=0,
    verdict="ok",
    process_log_ratios=(0.0, 0.001, -0.001),
    first_stage_count=3,
    wall_s=4.0,
    new=Summary(100.0, 100.0),
    reference=Summary(100.0, 100.0),
    ranked_slower=False,
    load_average=0.5,
    neighbour_fraction=0.0,
    ended_utc="2026-11-21T19:00:00+00:00",
)


@pytest.mark.parametrize("network", NETWORKS)
def test_extra_work_is_real_and_grows(network: str) -> None:
    """Every unit adds two convolutions that onnxruntime runs; outputs change and stay finite."""
    images = np.random.default_rng(0).standard_normal((1, 3, SIDES[network], SIDES[network])).astype(np.float32)
    counts, answers = [], []
    for units in (0, 2, 12):
        model = NETWORKS[network](units)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        counts.append(sum(node.op_type == "Conv" for node in model.graph.node))
        answers.append(session.run(None, {"x": images})[0])
    assert [count - counts[0] for count in counts] == [0, 4, 24]
    assert all(np.isfinite(answer).all() for answer in answers)
    assert all(not np.array_equal(one, other) for one, other in itertools.combinations(answers, 2))


def test_bursts_come_from_their_seed_and_keep_their_bounds() -> None:
    first, again, other = (list(itertools.islice(bursts(seed), 200)) for seed in (1, 1, 2))
    assert first == again != other
    assert BURST_S[0] <= min(first) < 0.01
    assert 0.1 < max(first) <= BURST_S[1]


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the share is read from proc(5)")
def test_the_neighbour_computes_until_it_is_not_wanted() -> None:
    with neighbour(1) as share:
        deadline = time.monotonic() + 60
        while share() == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert 0 < share() <= 1
    with pytest.raises(FileNotFoundError):
        share()


def test_other_gates_by_hand() -> None:
    assert summary([1, 2, 9]) == Summary(4.0, 2.0)
    reference = Summary(100.0, 100.0)
    assert by_means(Summary(105.1, 0), reference)
    assert not by_means(Summary(104.9, 0), reference)
    assert by_medians(Summary(0, 103.1), reference)
    assert not by_medians(Summary(0, 102.9), reference)
    assert by_ranks(range(10, 60), range(50))
    assert not by_ranks(range(50), range(10, 60))
    assert not by_ranks(range(50), range(50))


def test_finished_rows_stay_and_a_torn_one_is_done_again(tmp_path: Path) -> None:
    path, second = tmp_path / "rows.jsonl", replace(ROW, trial=1)
    assert read_rows(path) == []
    append_row(path, ROW)
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"network": "resn')
    assert read_rows(path) == [ROW]
    append_row(path, second)
    assert read_rows(path) == [ROW, second]


def test_trials_take_turns_on_the_machines_and_longer_runs_hold_shorter_ones() -> None:
    asked = (["resnet20", "mobilenet"], [False, True], [3, 5])
    order = places(*asked, pairs=30, slow_pairs=10)
    assert order == places(*asked, pairs=30, slow_pairs=10)
    assert len(order) == len(set(order)) == 2 * 2 * (30 + 2 * 10)
    assert [busy for _, busy, _, _ in order[: 3 * BLOCK]] == [False] * BLOCK + [True] * BLOCK + [False] * BLOCK
    assert len({place[2] for place in order[:BLOCK]}) == 3
    assert set(order) < set(places(*asked, pairs=40, slow_pairs=12))


def test_a_stored_baseline_is_the_reference_of_the_row_before_on_the_same_machine() -> None:
    rows = [
        ROW,
        replace(ROW, busy=True),
        replace(ROW, trial=1),
        replace(ROW, network="mobilenet"),
        replace(ROW, trial=2),
    ]
    found = before(rows)
    assert set(found) == {rows[2].place, rows[4].place}
    assert found[rows[2].place] is rows[0]
    assert found[rows[4].place] is rows[2]


def made_up() -> list[Row]:
    """60 equal pairs, one of them an alarm; 40 slower by 3 %, two of them not seen and one undecided."""
    equal = [replace(ROW, trial=number) for number in range(60)]
    equal[7] = replace(equal[7], verdict="slower", process_log_ratios=(0.03,) * 10, wall_s=14.0)
    one = replace(ROW, meant_percent=3, units=4, verdict="slower", process_log_ratios=(math.log(1.03),) * 10)
    slow = [replace(one, trial=number, new=Summary(106.0, 102.0), ranked_slower=True) for number in range(40)]
    slow[3:5] = [replace(row, verdict="ok") for row in slow[3:5]]
    slow[5] = replace(slow[5], verdict="cannot tell")
    return [*equal, *slow]


def test_rates_and_measured_slow_downs_are_counted_by_kind() -> None:
    equal, slow = cells(made_up())
    assert (equal.alarms[GATE].count, equal.alarms[GATE].of, equal.confirmed) == (1, 60, 1)
    assert (slow.alarms[GATE].count, slow.undecided, slow.confirmed) == (37, 1, 40)
    assert percent_slower(slow.measured) == pytest.approx((3.0, 0.0), abs=1e-9)
    assert equal.wall_s == pytest.approx((59 * 4 + 14) / 60)
    assert slow.alarms["means"].value == 1
    assert slow.alarms["medians"].value == 0
    assert (equal.alarms["means"].of, slow.alarms["means"].of) == (59, 40)
    together_3 = together([equal, slow], GATE, 3)
    assert together_3 is not None
    assert together_3.value == 37 / 40
    assert together([equal, slow], GATE, 10) is None


def test_second_stages_do_not_bend_what_was_measured() -> None:
    """Only rows in doubt have one, so it is left out."""
    odd = replace(ROW, process_log_ratios=(0.02, 0.02, 0.02, *[0.0] * 7))
    (cell,) = cells([odd, replace(odd, trial=1), replace(odd, trial=2)])
    assert cell.measured.value == pytest.approx(math.exp(0.02))


def test_the_report_states_counts_intervals_and_the_machine(tmp_path: Path) -> None:
    said = write_report(made_up(), MACHINE, tmp_path)
    assert "False alarms: 1 of 60, 1.7 % (0.04 % to 8.9 %)" in said
    assert "3 % seen: 37 of 40, 92.5 % (79.6 % to 98.4 %)" in said
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert said in page
    assert "a processor, 2 logical cores, Linux; onnxruntime 1.31.1" in page
    assert "| resnet20 | quiet | 3.00 % | 40 | 37 (92.5 %) | 79.6 % to 98.4 % | 1 | 40 | 4.0 |" in page
    assert (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()[2].startswith("resnet20,False,3,3.0,")
    assert (tmp_path / "called-slower.svg").read_text(encoding="utf-8").count("<text") > 10
    assert (tmp_path / "called-slower.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_trial_of_a_much_slower_file_is_a_row(tmp_path: Path) -> None:
    """200 units of extra work more than double ResNet-20's time."""
    found: Any = trial(Bench(tmp_path, Effort(calls=40, seconds=0)), "resnet20", 100, 200, 0, None)
    assert found.verdict == "slower"
    assert found.confirmed
    assert min(found.process_log_ratios) > math.log(1.3)
    assert found.ranked_slower
    assert found.new.median > 1.3 * found.reference.median
    assert [path.name for path in tmp_path.glob("*.onnx")] == ["resnet20-0-0.onnx"]
