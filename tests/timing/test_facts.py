"""From what processes answered to facts: whose times, which answers count, what starts and energy become."""

from dataclasses import replace
from typing import Any

import made_answers as made
import numpy as np
import pytest
from made_answers import CPU

from kdbench.errors import MeasureError
from kdbench.measure.answers import OrError, Spent, Started, TimedFile, TimedProcess
from kdbench.timing.facts import SPENT, Asked, Heard, facts

CLASSES = [[1, 2, 3, 1], [2, 2, 1, 3]]
"""What the timed sessions answered: two batches of four, of six test examples."""
EVALUATED = np.array([1, 2, 3, 1, 2, 2], dtype=np.int32)
SESSION = {"provider": "cpu", "precision": "fp32", "threads_intra": 1, "threads_inter": 1, "graph_optimization": "all"}


def timed(
    digest: str, classes: list[list[int]], slower: int = 1, cpu: list[int] | None = None, **fields: Any
) -> TimedFile:
    samples = [100_000 * slower] * 100
    return made.timed(digest, {4: made.timing(samples, classes=classes, thread_cpu_ns=cpu, **fields)})


def process(classes: list[list[int]] = CLASSES, **gauge: float) -> TimedProcess:
    mine, base = timed("mine", classes, 1, [5_000_000] * 2), timed("base", [[0] * 4] * 2, 2, [10_000_000] * 2)
    return made.process([mine, base], ["mine", "base"], load_average=0.1, **gauge)


PROOF: dict[str, OrError[Any]] = {name: made.proved(name, 4) for name in ("mine", "base")}
HEARD = Heard(processes=[process()] * 3, proof=PROOF, memory={}, start={}, energy={}, round_call_count=50)
ROUND_AGAIN = np.append(EVALUATED, [1, 3])
"""As many examples as were timed, where the first six are not repeated."""


def asked(evaluated: Any = ROUND_AGAIN, **settings: Any) -> Asked:
    return Asked("mine", {"baseline": "base", "origin": "base"}, SESSION, [4], evaluated, repeat=2, **settings)


def only(found: Any) -> dict[str, Any]:
    assert not isinstance(found, MeasureError), str(found)
    (fact,) = found
    return fact  # type: ignore[no-any-return]


def test_a_reference_in_two_roles_is_kept_once_with_its_samples_and_thread_times() -> None:
    fact = only(facts(asked(), HEARD))
    assert fact["references"] == {"baseline": "base", "origin": "base"}
    assert fact["reference_samples_ns"] == {"base": [[200_000] * 100] * 3}
    assert fact["thread_cpu_ns"] == [[5_000_000] * 2] * 3
    assert fact["reference_thread_cpu_ns"] == {"base": [[10_000_000] * 2] * 3}
    assert fact["repeat"] == 2


def test_a_target_of_several_threads_has_no_thread_times() -> None:
    several = made.process([timed("mine", CLASSES), timed("base", [[0] * 4] * 2)], ["mine", "base"])
    fact = only(facts(asked(), replace(HEARD, processes=[several] * 3)))
    assert "thread_cpu_ns" not in fact
    assert "reference_thread_cpu_ns" not in fact


def test_answers_of_the_timed_session_are_compared_with_the_evaluated_ones() -> None:
    assert only(facts(asked(), HEARD))["answers_agreement_fraction"] == 1.0


def test_a_test_split_smaller_than_the_timed_batches_is_gone_round_again() -> None:
    twice = [[1, 2, 3, 1], [2, 2, 1, 2]]  # examples 0 to 5, then 0 and 1 again
    heard = replace(HEARD, processes=[process(twice)] * 3)
    assert only(facts(asked(EVALUATED), heard))["answers_agreement_fraction"] == 1.0


def test_a_near_tie_that_flips_is_recorded_and_forgiven() -> None:
    flipped = [[1, 2, 3, 1], [2, 2, 1, 0]]
    heard = replace(HEARD, processes=[process(), process(flipped), process()])
    assert only(facts(asked(), heard))["answers_agreement_fraction"] == pytest.approx(23 / 24)


def test_a_session_that_answers_otherwise_when_it_is_timed_fails_the_row() -> None:
    wrong = [[0, 0, 0, 1], [2, 2, 1, 3]]
    found = facts(asked(), replace(HEARD, processes=[process(), process(), process(wrong)]))
    assert isinstance(found, MeasureError)
    assert str(found) == (
        "the timed sessions gave another class than the evaluated one for 3 of 8 test examples at batch 4; "
        "such times do not count."
    )


def test_outputs_that_are_not_finite_fail_the_row_with_the_process_s_sentence() -> None:
    error = MeasureError("the timed calls gave outputs that are not finite.")
    broken = made.process([error, timed("base", CLASSES)], ["mine", "base"])
    found = facts(asked(), replace(HEARD, processes=[process(), broken, process()]))
    assert str(found) == "the timed calls gave outputs that are not finite."


def test_a_process_that_was_cut_short_is_compared_over_what_all_answered() -> None:
    heard = replace(HEARD, processes=[process(), process(CLASSES[:1]), process()])
    assert only(facts(asked(), heard))["answers_agreement_fraction"] == 1.0


def test_steal_and_other_work_are_recorded_and_what_they_mean_is_left_to_the_reader() -> None:
    gauged = [process(other_cpu_fraction=0.5, steal_fraction=0.0), process(other_cpu_fraction=0.0, steal_fraction=0.1)]
    fact = only(facts(asked(), replace(HEARD, processes=[*gauged, gauged[0]])))
    assert fact["steal_fraction"] == [0.0, 0.1, 0.0]
    assert fact["other_cpu_fraction"] == [0.5, 0.0, 0.5]
    assert fact["warnings"] == []


def test_what_a_process_itself_noticed_is_kept_once() -> None:
    short = made.process(
        [timed("mine", CLASSES, warnings=["too few samples"]), timed("base", CLASSES)], ["mine", "base"]
    )
    assert only(facts(asked(), replace(HEARD, processes=[short] * 3)))["warnings"] == ["too few samples"]


def test_a_provider_that_ran_no_node_fails_the_row() -> None:
    found = facts(asked(), replace(HEARD, proof={**PROOF, "mine": made.proved("mine", 4, "Other")}))
    assert str(found) == f"asked for {CPU}, which ran none of the file's nodes at batch 4."


def started(load_ns: int, first_ns: int) -> Started:
    return Started(batch_size=4, runtime_import_ns=50, load_ns=load_ns, first_inference_ns=first_ns)


def test_a_start_has_a_value_for_each_process_and_no_engine_where_none_is_built() -> None:
    heard = replace(HEARD, start={"mine": [started(10, 1), started(12, 2), started(11, 3)]})
    latency, start = facts(asked(start=True), heard)  # type: ignore[misc]
    assert latency["kind"] == "latency"
    assert start == {
        "kind": "start",
        "batch_size": 4,
        "runtime_import_ns": [50] * 3,
        "load_ns": [10, 12, 11],
        "first_inference_ns": [1, 2, 3],
    }


def test_building_an_engine_is_what_the_process_without_one_took_longer() -> None:
    first = started(900, 100)
    heard = replace(HEARD, start={"mine": [first, started(10, 1), started(30, 2), started(20, 3)]})
    _, start = facts(asked(start=True), heard)  # type: ignore[misc]
    assert start["load_ns"] == [10, 30, 20]
    assert start["engine_build_ns"] == 1000 - 23


def test_what_another_row_asked_for_is_not_in_this_rows_facts() -> None:
    heard = replace(HEARD, start={"mine": [started(10, 1)] * 3}, energy={("mine", 4): []})
    assert only(facts(asked(), heard))["kind"] == "latency"


def test_energy_has_its_counter_and_a_value_for_each_process() -> None:
    spent = Spent(counter="rapl", batch_size=4, **dict.fromkeys(SPENT, 7))
    _, energy = facts(asked(energy=True), replace(HEARD, energy={("mine", 4): [spent] * 3}))  # type: ignore[misc]
    assert energy == {"kind": "energy", "counter": "rapl", "batch_size": 4, **{name: [7] * 3 for name in SPENT}}


def test_energy_asked_for_without_a_counter_is_no_record() -> None:
    assert only(facts(asked(energy=True), HEARD))["kind"] == "latency"


@pytest.mark.parametrize("what", ["memory", "start", "energy"])
def test_a_process_of_its_own_that_fails_fails_the_row(what: str) -> None:
    key: Any = "mine" if what == "start" else ("mine", 4)
    heard = replace(HEARD, **{what: {key: MeasureError("it was killed by SIGKILL.")}})
    assert str(facts(asked(**{what: True}), heard)) == "it was killed by SIGKILL."
