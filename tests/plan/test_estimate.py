"""How long a plan will take: the work shared among workers, or the longest chain, whichever is longer."""

from kdbench.plan.estimate import Estimate, seconds_to_the_end
from kdbench.protocols.part import PartSpec
from kdbench.stages.spec import StageSpec


def stage(kind: str, model: str, *inputs: StageSpec, technique: str = "") -> StageSpec:
    parts = {"model": PartSpec("model", model, 1, {})}
    if technique:
        parts["technique"] = PartSpec("technique", technique, 1, {"temperature": len(inputs)})
    return StageSpec(kind, 1, parts, inputs={str(place): spec.key for place, spec in enumerate(inputs)})


TEACHER = stage("train", "large")
STUDENT = stage("train", "small")
TAUGHT = stage("compress", "small", TEACHER, technique="fitnet")
FILE = stage("export", "small", TAUGHT)
TIMED = stage("measure", "small", FILE)
EVERY = [FILE, TIMED, TAUGHT, STUDENT, TEACHER]


def known() -> Estimate:
    estimate = Estimate()
    for spec, seconds in ((TEACHER, 60.0), (STUDENT, 20.0), (TAUGHT, 30.0), (FILE, 5.0), (TIMED, 7.0)):
        estimate.learn(spec, seconds)
    return estimate


def test_a_stage_counts_with_all_that_waits_for_it() -> None:
    left = seconds_to_the_end(EVERY, known().guess)
    assert [left[spec.key] for spec in (TEACHER, STUDENT, TAUGHT, FILE, TIMED)] == [102, 20, 42, 12, 7]


def test_the_longest_chain_is_named_in_order_without_measurements() -> None:
    assert known().longest_chain(EVERY) == ([TEACHER, TAUGHT, FILE], 95.0)


def test_more_workers_help_until_the_longest_chain_decides() -> None:
    """115 s of work and 7 s of measuring; 95 s of the work are one chain."""
    said = [known().left(EVERY, jobs) for jobs in (1, 2, 16)]
    assert said == ["about 2 min 02 s left", "about 1 min 42 s left", "about 1 min 42 s left"]


def test_techniques_take_times_of_their_own_whatever_their_fields() -> None:
    estimate = known()
    assert estimate.of(stage("compress", "small", technique="fitnet")) == 30.0
    assert estimate.of(stage("compress", "small", technique="review")) is None
    assert (
        estimate.left([stage("compress", "small", technique="review")], 1) == "how long the rest takes is not known yet"
    )
