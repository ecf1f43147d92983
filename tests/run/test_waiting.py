"""Which stages of a run may begin: inputs first, rehearsals before training, and what can never run."""

import sys
from dataclasses import replace
from types import FrameType

from kdbench.run.waiting import Waiting
from kdbench.run.walk import without_innocents
from kdbench.stages.spec import StageSpec
from kdbench.stages.worker import Outcome


def stage(kind: str, seed: int, *inputs: StageSpec) -> StageSpec:
    return StageSpec(kind, 1, seed=seed, inputs={str(place): spec.key for place, spec in enumerate(inputs)})


def taken(waiting: Waiting) -> list[StageSpec]:
    found = []
    while specs := waiting.take():
        found += specs
    return found


DATA = stage("decode", 0)
TRAINED = stage("train", 0, DATA)
EXPORTED = stage("export", 0, TRAINED)


def test_a_stage_waits_for_its_inputs_and_what_the_store_has_is_waited_for_by_nobody() -> None:
    waiting = Waiting([EXPORTED, TRAINED, DATA], {})
    assert taken(waiting) == [DATA]
    waiting.done(DATA.key)
    assert taken(waiting) == [TRAINED]
    assert taken(Waiting([EXPORTED, TRAINED], {})) == [TRAINED]


def test_long_work_comes_first_and_rehearsals_before_it() -> None:
    rehearsal, trained, taught = stage("rehearse", 1), stage("train", 1), stage("compress", 1)
    assert taken(Waiting([taught, trained, rehearsal, EXPORTED], {})) == [rehearsal, trained, taught, EXPORTED]


def test_a_failure_takes_with_it_all_that_rests_on_it_and_nothing_else() -> None:
    other = stage("train", 5)
    waiting = Waiting([DATA, TRAINED, EXPORTED, other], {})
    assert {spec.key for spec in taken(waiting)} == {DATA.key, other.key}
    assert waiting.failed(DATA.key) == [TRAINED.key, EXPORTED.key]
    waiting.done(other.key)
    assert not waiting


def test_a_stage_that_two_cases_share_runs_for_the_one_whose_rehearsal_went_well() -> None:
    good, bad = stage("rehearse", 1), stage("rehearse", 2)
    alone = stage("train", 9)
    for order in ((good, bad), (bad, good)):
        waiting = Waiting([good, bad, TRAINED, alone], {TRAINED.key: [good.key, bad.key], alone.key: [bad.key]})
        assert taken(waiting) == [good, bad]
        for ended in order:
            assert taken(waiting) == [], "all its rehearsals must have ended"
            lost = waiting.failed(ended.key) if ended is bad else (waiting.done(ended.key), [])[1]
            assert lost == ([alone.key] if ended is bad else [])
        assert taken(waiting) == [TRAINED]


def test_a_rehearsal_that_can_never_run_counts_as_failed() -> None:
    file = stage("adopt", 0)
    rehearsal = stage("rehearse", 1, file)
    waiting = Waiting([file, rehearsal, TRAINED], {TRAINED.key: [rehearsal.key]})
    assert taken(waiting) == [file]
    assert waiting.failed(file.key) == [rehearsal.key, TRAINED.key]
    assert not waiting


def test_a_rehearsal_that_the_store_has_went_well() -> None:
    known, bad = stage("rehearse", 1), stage("rehearse", 2)
    waiting = Waiting([bad, TRAINED], {TRAINED.key: [known.key, bad.key]})
    assert taken(waiting) == [bad]
    assert waiting.failed(bad.key) == []
    assert taken(waiting) == [TRAINED]


def test_what_the_longest_chain_waits_for_comes_first() -> None:
    """Two workers end soonest when the teacher is trained before students that nobody waits for."""
    alone, teacher = stage("train", 1), stage("train", 2)
    learner = stage("compress", 3, teacher)
    known = {alone.key: 50.0, teacher.key: 40.0, learner.key: 30.0}
    waiting = Waiting([alone, teacher, learner], {}, seconds=lambda spec: known[spec.key])
    assert taken(waiting) == [teacher, alone]


def company(count: int) -> list[StageSpec]:
    return [stage("compress", seed, TRAINED) for seed in range(count)]


def test_stages_that_go_in_step_are_taken_together_once_all_are_ready() -> None:
    first, second = company(2)
    late = stage("train", 7)
    third = stage("compress", 2, late)
    waiting = Waiting([late, first, second, third], {}, [[first, second, third]])
    assert waiting.take() == [late]
    assert waiting.take() == []
    waiting.done(late.key)
    assert waiting.take() == [first, second, third]
    assert not waiting


def test_a_company_does_not_wait_for_one_that_will_never_run() -> None:
    late = stage("train", 7)
    first, second, lost = *company(2), stage("compress", 2, late)
    waiting = Waiting([late, first, second, lost], {}, [[lost, first, second]])
    assert waiting.take() == [late]
    assert waiting.failed(late.key) == [lost.key]
    assert waiting.take() == [first, second]


def test_a_company_is_shared_out_among_workers_that_would_idle() -> None:
    members = company(5)
    waiting = Waiting(members, {}, [members])
    assert [len(waiting.take(idle)) for idle in (3, 2, 1)] == [2, 2, 1]
    other = stage("compress", 9)
    waiting = Waiting([*members, other], {}, [members])
    assert [len(waiting.take(idle)) for idle in (2, 1)] == [5, 1], "each worker has something to do"


def test_stored_outputs_go_by_themselves_where_a_company_is_shared_out() -> None:
    storing, students = stage("teach", 0), [stage("compress", seed) for seed in range(3)]
    waiting = Waiting([storing, *students], {}, [[storing, *students]])
    assert [waiting.take(idle=2), waiting.take(idle=1)] == [[storing], students]
    waiting = Waiting([storing, *students], {}, [[storing, *students]])
    assert waiting.take(idle=1) == [storing, *students]


def test_when_a_groups_worker_dies_each_that_had_not_ended_goes_again_alone_and_the_culprit_fails() -> None:
    members = first, second, third = company(3)
    waiting = Waiting(members, {}, [members])
    assert waiting.take() == members
    ended, died = Outcome(first.key, "done"), Outcome(third.key, "failed", "its worker process died", died=True)
    assert without_innocents([ended, replace(died, key=second.key), died], waiting) == [ended]
    assert [waiting.take(), waiting.take(), waiting.take()] == [[second], [third], []]
    assert without_innocents([died], waiting) == [died]
    assert not waiting


def test_work_grows_as_the_stages_do() -> None:
    def calls(count: int) -> int:
        chains = [(one := stage("train", seed), stage("export", seed, one)) for seed in range(count)]
        specs = [spec for chain in chains for spec in chain]
        made = 0

        def count_one(frame: FrameType, event: str, argument: object) -> None:
            nonlocal made
            made += event in ("call", "c_call")

        sys.setprofile(count_one)
        try:
            waiting = Waiting(specs, {})
            while specs := waiting.take():
                waiting.done(specs[0].key)
        finally:
            sys.setprofile(None)
        return made

    assert calls(2000) < 2.5 * calls(1000)
