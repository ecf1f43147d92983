"""The choice on records made by hand: who is picked, what is said of the others, how sure it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from by_hand import CPU, PHONE, Given, Shelf, failed

from kdbench.choose import Choice, DeviceChoice, Limits, choose
from kdbench.errors import KdbenchError, StoreError
from kdbench.results.records import CallSize

Build = Callable[..., Path]


def on(**microseconds: float) -> dict[str, tuple[float, ...]]:
    """Three processes that nearly agree, by device."""
    places = {"cpu": CPU, "phone": PHONE}
    return {places[name]: (0.99 * time, time, 1.01 * time) for name, time in microseconds.items()}


BASELINE = Given(wrong=(20, 20, 20), microseconds=on(cpu=100))
TEACHER = Given(wrong=(5,), microseconds=on(cpu=400), kilobytes=1000)
SLOW_BEST = Given(wrong=(15, 15, 15), microseconds=on(cpu=100))
FAST_ALIKE = Given(wrong=(16, 16, 16), microseconds=on(cpu=50))
FASTEST_BAD = Given(wrong=(60, 60, 60), microseconds=on(cpu=20), kilobytes=10)
USUAL = {
    "teacher": TEACHER,
    "from-scratch": BASELINE,
    "best": SLOW_BEST,
    "fast": FAST_ALIKE,
    "bad": FASTEST_BAD,
}


@pytest.fixture
def shelf(tmp_path: Path) -> Build:
    def build(cases: dict[str, Given] | None = None, **fields: object) -> Path:
        return Shelf(tmp_path / "results", cases or USUAL, **fields).write()  # type: ignore[arg-type]

    return build


def only(choice: Choice) -> DeviceChoice:
    (device,) = choice.devices
    return device


def pick(choice: Choice) -> str | None:
    offer = only(choice).pick
    return offer.case if offer else None


def test_the_fastest_of_those_that_cannot_be_told_from_the_most_accurate_is_picked(shelf: Build) -> None:
    device = only(choose(shelf()))
    assert device.pick is not None
    assert device.pick.case == "fast"
    assert [offer.case for offer in device.alike] == ["best"]
    assert set(device.worse) == {"from-scratch", "bad"}


def test_the_pick_is_told_against_teacher_and_baseline(shelf: Build) -> None:
    device = only(choose(shelf()))
    assert device.pick is not None
    teacher, baseline = device.pick.against
    assert (teacher.case, baseline.case) == ("teacher", "from-scratch")
    assert baseline.score is not None
    assert baseline.score.value == pytest.approx(4 / 400)
    assert baseline.speedup is not None
    assert baseline.speedup.value == pytest.approx(2, rel=1e-3)
    assert teacher.speedup is not None
    assert teacher.speedup.value == pytest.approx(8, rel=1e-3)
    assert teacher.compression_ratio == pytest.approx(10)


def test_the_teacher_is_shown_and_never_picked(shelf: Build) -> None:
    device = only(choose(shelf({"teacher": TEACHER, "from-scratch": BASELINE})))
    assert device.pick is not None
    assert device.pick.case == "from-scratch"
    assert device.teacher is not None
    assert device.teacher.case == "teacher"
    assert "teacher" not in device.shares


@pytest.mark.parametrize(
    ("limits", "picked"),
    [
        ({"latency_p50": "30us"}, "bad"),
        ({"latency_p50": "60us", "accuracy_drop": "1pt"}, "fast"),
        ({"bytes": "50kB"}, "bad"),
        ({"accuracy_drop": "0pt", "latency_p50": "110us"}, "fast"),
        ({"accuracy_drop": "10.0pt", "bytes": "10kB"}, "bad"),
    ],
)
def test_only_what_keeps_to_every_limit_is_picked(shelf: Build, limits: dict[str, str], picked: str) -> None:
    assert pick(choose(shelf(), Limits(**limits))) == picked  # type: ignore[arg-type]


def test_what_lies_exactly_at_a_limit_fits(shelf: Build) -> None:
    """40 more wrong of 400 is a drop of 10 points."""
    device = only(choose(shelf(), Limits(accuracy_drop="10pt")))
    assert not device.misses


def test_what_fits_by_its_mean_is_not_always_certain_to_fit(shelf: Build) -> None:
    """`bad` loses 10 points of 400 x 3 answers: below 20 points for certain, and below 10.5 by its mean alone."""
    path = shelf()
    wide, narrow = (only(choose(path, Limits(accuracy_drop=text))) for text in ("20pt", "10.5pt"))
    assert wide.assured is not None
    assert narrow.assured is not None
    assert "bad" in wide.assured
    assert "bad" not in narrow.assured
    assert "bad" not in {miss.case for miss in narrow.misses}
    assert "from-scratch" in narrow.assured  # the losses refer to it
    assert only(choose(path, Limits(bytes="1MB"))).assured is None


def test_what_does_not_fit_is_named_with_its_number(shelf: Build) -> None:
    misses = only(choose(shelf(), Limits(accuracy_drop="2pt", latency_p50="70us"))).misses
    assert {(miss.case, miss.limit) for miss in misses} == {
        ("bad", "accuracy_drop"),
        ("best", "latency_p50"),
        ("from-scratch", "latency_p50"),
    }
    drop = next(miss for miss in misses if miss.limit == "accuracy_drop")
    assert (drop.value, drop.bound, drop.alone) == (pytest.approx(0.1), pytest.approx(0.02), True)


def test_of_equally_fast_cases_the_smallest_is_picked(shelf: Build) -> None:
    large = Given(wrong=(15, 15, 15), microseconds={CPU: (49, 50, 51)}, kilobytes=200)
    small = Given(wrong=(16, 16, 16), microseconds={CPU: (52, 51, 50)}, kilobytes=100)
    assert pick(choose(shelf({"from-scratch": BASELINE, "large": large, "small": small}))) == "small"


def test_what_cannot_be_told_from_the_pick_at_all_is_named(shelf: Build) -> None:
    twin = Given(wrong=(16, 16, 16), microseconds=on(cpu=50.2), kilobytes=120)
    device = only(choose(shelf(USUAL | {"twin": twin})))
    assert device.pick is not None
    assert device.pick.case == "fast"
    assert {offer.case for offer in device.alike} == {"best", "twin"}
    assert device.as_fast == ("twin",)


def test_of_equally_fast_and_large_cases_the_most_accurate_is_picked(shelf: Build) -> None:
    """Twenty bytes are no reason."""
    less = Given(wrong=(16, 16, 16), microseconds=on(cpu=50), kilobytes=100)
    more = Given(wrong=(15, 15, 15), microseconds=on(cpu=50), kilobytes=100.02)
    assert pick(choose(shelf({"from-scratch": BASELINE, "less": less, "more": more}))) == "more"


def test_the_choice_is_made_on_validation_and_told_on_test(shelf: Build) -> None:
    lucky = Given(wrong=(10, 10, 10), wrong_on_test=(40, 40, 40), microseconds=on(cpu=100))
    device = only(choose(shelf({"from-scratch": BASELINE, "lucky": lucky})))
    assert device.split == "validation"
    assert device.pick is not None
    assert device.pick.case == "lucky"
    assert device.pick.score is not None
    assert device.pick.score.value == pytest.approx(0.9)
    assert device.split_value["lucky"] == pytest.approx(0.975)


def test_without_a_validation_split_the_choice_is_made_on_test(shelf: Build) -> None:
    device = only(choose(shelf(splits=("test",))))
    assert device.split == "test"
    assert device.pick is not None
    assert device.pick.case == "fast"


def test_where_one_case_is_clearly_best_every_resample_says_so(shelf: Build) -> None:
    best = Given(wrong=(2, 2, 2), microseconds=on(cpu=30), kilobytes=50)
    choice = choose(shelf({"from-scratch": BASELINE, "best": best}))
    assert only(choice).shares == {"best": 1.0}


def test_where_noise_decides_the_share_says_so_and_the_same_records_give_the_same_share(shelf: Build) -> None:
    """Two cases of one size and speed, whose seeds scatter far more than their means differ."""
    one = Given(wrong=(10, 20, 30), microseconds=on(cpu=50))
    other = Given(wrong=(28, 21, 12), microseconds=on(cpu=50))
    path = shelf({"from-scratch": Given(wrong=(90, 90, 90)), "one": one, "other": other})
    shares = only(choose(path)).shares
    assert 0.3 < shares["one"] < 0.7
    assert shares["one"] + shares["other"] == pytest.approx(1)
    assert only(choose(path)).shares == shares


def test_a_latency_near_its_limit_is_unsure(shelf: Build) -> None:
    near = Given(wrong=(5, 5, 5), microseconds={CPU: (90, 100, 109)}, kilobytes=10)
    path = shelf({"from-scratch": BASELINE, "near": near})
    device = only(choose(path, Limits(latency_p50="100us")))
    assert device.pick is not None
    assert 0.3 < device.shares["near"] < 0.9


def test_where_nothing_fits_each_limit_names_the_nearest_case_and_its_number(shelf: Build) -> None:
    device = only(choose(shelf(), Limits(latency_p50="45us", accuracy_drop="1pt")))
    assert device.pick is None
    found = {miss.limit: (miss.case, round(miss.value, 4), miss.alone) for miss in device.obstacles}
    assert found["accuracy_drop"] == ("bad", 0.1, True)
    assert found["latency_p50"][0] == "fast"
    assert found["latency_p50"][1] == pytest.approx(50_000, rel=1e-3)
    assert device.alike == ()


def test_where_every_case_misses_every_limit_the_nearest_is_no_false_hope(shelf: Build) -> None:
    device = only(choose(shelf(), Limits(latency_p50="1us", bytes="1kB")))
    assert {(miss.case, miss.alone) for miss in device.obstacles} == {("bad", False)}


def test_memory_is_what_the_file_adds(shelf: Build) -> None:
    lean = Given(wrong=(15, 15, 15), megabytes_of_memory=3)
    rich = Given(wrong=(14, 14, 14), megabytes_of_memory=30, microseconds=on(cpu=20))
    path = shelf({"from-scratch": BASELINE, "lean": lean, "rich": rich})
    choice = choose(path, Limits(memory="8MiB"))
    assert pick(choice) == "lean"
    assert only(choice).excluded == {"from-scratch": "no memory was recorded"}


def test_a_limit_on_what_nobody_measured_is_an_error(shelf: Build) -> None:
    with pytest.raises(KdbenchError, match="no case's memory was measured on local-cpu-1t-fp32 at batch size 1"):
        choose(shelf(), Limits(memory="8MiB"))


def test_a_target_that_was_not_measured_is_an_error(shelf: Build) -> None:
    with pytest.raises(KdbenchError, match=r"nothing was timed on a target 'local-cpu-2t-fp32'\. Did you mean 'local-"):
        choose(shelf(), targets=["local-cpu-2t-fp32"])


def test_a_batch_size_that_was_not_measured_is_an_error(shelf: Build) -> None:
    with pytest.raises(KdbenchError, match="batch size 8 was not measured on local-cpu-1t-fp32; measured there: 1, 32"):
        choose(shelf(batch_sizes=(1, 32)), batch_sizes=[8])


def test_a_drop_against_a_baseline_that_failed_is_an_error(shelf: Build) -> None:
    path = shelf({"from-scratch": Given(wrong=(20, 20)), "fast": FAST_ALIKE, "best": SLOW_BEST})
    assert pick(choose(path)) == "fast"
    with pytest.raises(KdbenchError, match="accuracy_drop refers to from-scratch"):
        choose(path, Limits(accuracy_drop="1pt"))


def test_a_suite_without_any_timing_is_an_error(shelf: Build) -> None:
    with pytest.raises(KdbenchError, match="nothing was timed in"):
        choose(shelf({"from-scratch": Given(microseconds={})}))


def test_a_case_that_failed_is_out_with_its_reason(shelf: Build) -> None:
    device = only(choose(shelf(extra=(failed("fast"),))))
    assert device.pick is not None
    assert device.pick.case == "best"
    assert device.excluded == {"fast": "failed (seed 0): kd became infinite in epoch 3."}


def test_a_case_that_lacks_a_seed_is_out(shelf: Build) -> None:
    device = only(choose(shelf(USUAL | {"fast": Given(wrong=(16, 16), microseconds=on(cpu=50))})))
    assert device.excluded == {"fast": "no accuracy was recorded for seed 2"}


def test_a_single_seed_is_judged_over_its_examples(shelf: Build) -> None:
    cases = {
        "from-scratch": Given(wrong=(60,)),
        "best": Given(wrong=(15,), microseconds=on(cpu=100)),
        "fast": Given(wrong=(17,), microseconds=on(cpu=50)),
        "bad": Given(wrong=(60,), microseconds=on(cpu=20)),
    }
    device = only(choose(shelf(cases)))
    assert device.example_noise_only
    assert device.pick is not None
    assert device.pick.case == "fast"
    assert [offer.case for offer in device.alike] == ["best"]


def test_a_single_seed_without_predictions_leaves_the_most_accurate(shelf: Build) -> None:
    cases = {"from-scratch": Given(wrong=(60,)), "best": Given(wrong=(15,)), "fast": Given((16,), None, on(cpu=50))}
    device = only(choose(shelf(cases, predictions=False)))
    assert device.pick is not None
    assert device.pick.case == "best"
    assert device.alike == ()


def test_without_predictions_seeds_alone_say_who_is_alike(shelf: Build) -> None:
    cases = {
        "from-scratch": Given(wrong=(60, 60, 60)),
        "best": Given(wrong=(14, 15, 16), microseconds=on(cpu=100)),
        "fast": Given(wrong=(18, 15, 15), microseconds=on(cpu=50)),
    }
    device = only(choose(shelf(cases, predictions=False)))
    assert device.pick is not None
    assert device.pick.case == "fast"


TWO = {
    "from-scratch": Given(wrong=(20, 20, 20), microseconds=on(cpu=100, phone=500)),
    "for-cpu": Given(wrong=(15, 15, 15), microseconds=on(cpu=20, phone=400)),
    "for-phone": Given(wrong=(15, 15, 15), microseconds=on(cpu=80, phone=100)),
    "for-both": Given(wrong=(15, 15, 15), microseconds=on(cpu=25, phone=120)),
}
BOTH = (CPU, PHONE)


def test_each_device_has_its_own_pick_and_one_case_serves_all(shelf: Build) -> None:
    choice = choose(shelf(TWO, targets=BOTH))
    assert [(d.target, d.pick.case) for d in choice.devices if d.pick] == [(CPU, "for-cpu"), (PHONE, "for-phone")]
    assert choice.one_for_all is not None
    assert choice.one_for_all.case == "for-both"
    assert choice.one_for_all.alike_everywhere
    assert choice.one_for_all.slowest == (CPU, CallSize(1))
    assert choice.one_for_all.slowdown == pytest.approx(1.25, rel=1e-3)


def test_one_for_all_fits_everywhere(shelf: Build) -> None:
    of = {"targets": {CPU: {"latency_p50": "22us"}, PHONE: {"latency_p50": "450us"}}}
    choice = choose(shelf(TWO, targets=BOTH, limits=of))
    assert choice.one_for_all is not None
    assert choice.one_for_all.case == "for-cpu"


def test_where_no_case_fits_everywhere_there_is_no_one_for_all(shelf: Build) -> None:
    of = {"targets": {CPU: {"latency_p50": "22us"}, PHONE: {"latency_p50": "110us"}}}
    choice = choose(shelf(TWO, targets=BOTH, limits=of))
    assert all(device.pick for device in choice.devices)
    assert choice.one_for_all is None


def test_where_none_is_alike_everywhere_one_for_all_loses_least_where_it_loses_most(shelf: Build) -> None:
    cases = {
        "from-scratch": Given(wrong=(90, 90, 90), microseconds=on(cpu=100, phone=100)),
        "on-cpu": Given(wrong=(2, 2, 2), microseconds=on(cpu=50, phone=900)),
        "fair": Given(wrong=(40, 40, 40), microseconds=on(cpu=60, phone=60)),
    }
    choice = choose(shelf(cases, targets=BOTH), Limits(latency_p50="800us"))
    assert choice.one_for_all is not None
    assert (choice.one_for_all.case, choice.one_for_all.alike_everywhere) == ("fair", False)
    assert choice.one_for_all.worst == (CPU, CallSize(1))
    assert choice.one_for_all.loss == pytest.approx(38 / 400)


def test_a_single_device_has_no_one_for_all(shelf: Build) -> None:
    assert choose(shelf(TWO, targets=BOTH), targets=[PHONE]).one_for_all is None


def test_a_failure_on_another_device_does_not_count(shelf: Build) -> None:
    choice = choose(shelf(TWO, targets=BOTH, extra=(failed("for-cpu", PHONE),)))
    assert [device.excluded.keys() for device in choice.devices] == [set(), {"for-cpu"}]


def test_a_target_of_the_suite_on_which_nothing_was_timed_is_said(shelf: Build) -> None:
    path = shelf({"from-scratch": BASELINE, "fast": FAST_ALIKE}, targets=BOTH)
    assert choose(path).untimed == (PHONE,)
    assert choose(path, targets=[CPU]).untimed == ()


def test_limits_given_win_over_the_suites_own(shelf: Build) -> None:
    path = shelf(batch_sizes=(1, 32), limits={"latency_p50": "30us", "accuracy_drop": "20pt", "batch_size": 1})
    assert pick(choose(path)) == "bad"
    assert pick(choose(path, Limits(latency_p50="1ms"))) == "fast"
    assert only(choose(path, batch_sizes=[32])).batch_size == 32


def test_limits_that_are_none_are_refused_with_a_remedy(shelf: Build) -> None:
    with pytest.raises(StoreError, match=r"has limits that cannot be understood .*; run the suite again"):
        choose(shelf(limits={"latency_p50": "soon"}))
