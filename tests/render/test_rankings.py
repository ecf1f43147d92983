"""Whether targets agree about who is fast, and whether multiply-accumulates tell it."""

from collections.abc import Callable

import pytest
from enriched import rewritten, slower
from folders import STEPS, Folder

from kdbench.evidence import evidence
from kdbench.evidence.rankings import mac_contradictions, rank_agreements
from kdbench.render.words.sentences import sentences
from kdbench.results.records import CallSize

Build = Callable[..., Folder]
CPU, OPENVINO, TORCH = "local-cpu-1t-fp32", "local-openvino-1t-fp32", "local-torch-1t-fp32"
FOUR = {name: STEPS[name] for name in ("from-scratch", "pruned-structured", "int8-static", "soft-pruned-int8")}


def test_the_same_order_has_tau_one_and_no_swaps(folder: Build) -> None:
    (found,) = rank_agreements(evidence(folder(steps=FOUR, targets=(CPU, OPENVINO), batch_sizes=(1,)).write()))
    assert found.tau == pytest.approx(1)
    assert found.case_count == 5
    assert found.swapped == ()


def test_cases_that_change_places_are_named_the_faster_at_the_first_target_first(folder: Build) -> None:
    """Three of ten pairs turn: the fastest case becomes slower than all but the teacher."""
    path = folder(steps=FOUR, targets=(CPU, OPENVINO), batch_sizes=(1,)).write()
    found = evidence(rewritten(path, slower("soft-pruned-int8", OPENVINO, 10.0)))
    (agreement,) = rank_agreements(found)
    assert agreement.tau == pytest.approx((7 - 3) / 10)
    assert agreement.swapped[0] == ("soft-pruned-int8", "int8-static")
    assert len(agreement.swapped) == 3
    (said,) = (one.text for one in sentences(found) if "Kendall" in one.text and one.text.startswith("The order"))
    assert said == (
        "The order of latencies differs between cpu, 1 thread, and openvino, 1 thread, at batch 1: Kendall's tau 0.40 "
        "over 5 cases; `soft-pruned-int8` is faster than `int8-static` and `pruned-structured` on cpu, 1 thread, not "
        "on the other, and 1 other pair changes places."
    )


def test_the_same_order_on_two_targets_is_told_with_its_batch_size(folder: Build) -> None:
    two = (CPU, OPENVINO)
    said = [one.text for one in sentences(evidence(folder(steps=FOUR, targets=two, batch_sizes=(1,)).write()))]
    told = (
        "The order of latencies is the same on cpu, 1 thread, and on openvino, 1 thread, at batch 1, as far as cases "
        "can be told apart: Kendall's tau 1.00 over 5 cases."
    )
    assert told in said


def test_the_same_order_on_several_targets_is_one_sentence(folder: Build) -> None:
    three = (CPU, OPENVINO, "board-cpu-1t-fp32")
    said = [one.text for one in sentences(evidence(folder(steps=FOUR, targets=three, batch_sizes=(1,)).write()))]
    told = (
        "The order of latencies is the same on all 3 targets, as far as cases can be told apart: Kendall's tau 1.00 or "
        "more, 3 comparisons."
    )
    assert told in said


def test_networks_that_cannot_be_told_apart_are_ties_not_an_order(folder: Build) -> None:
    """from-scratch, soft, hard and mixed are one network: noise orders them anew on each target."""
    steps = {name: STEPS[name] for name in ("from-scratch", "soft", "hard", "mixed", "pruned-structured")}
    (found,) = rank_agreements(evidence(folder(steps=steps, targets=(CPU, OPENVINO), batch_sizes=(1,)).write()))
    assert found.swapped == ()
    assert found.tau > 0.9


def test_too_few_cases_one_target_and_references_are_not_compared(folder: Build) -> None:
    two = {name: STEPS[name] for name in ("from-scratch", "pruned-structured")}
    path = folder(steps=two, targets=(CPU, OPENVINO), batch_sizes=(1,)).write()
    assert rank_agreements(evidence(path)) == []


def test_references_take_no_part(folder: Build) -> None:
    found = evidence(folder(steps=FOUR, targets=(CPU, TORCH), batch_sizes=(1,)).write())
    assert rank_agreements(found) == []
    assert not any("Kendall" in sentence.text for sentence in sentences(found))


def test_a_case_with_fewer_multiply_accumulates_that_is_slower_is_named(folder: Build) -> None:
    path = folder(steps=FOUR, targets=(CPU, OPENVINO), batch_sizes=(1,)).write()
    found = evidence(rewritten(path, slower("soft-pruned-int8", OPENVINO, 10.0)))
    worst = mac_contradictions(found)[-1]
    assert worst.setting == (OPENVINO, CallSize(1))
    assert (worst.slower, worst.faster) == ("soft-pruned-int8", "int8-static")
    assert worst.mac_ratio == pytest.approx(1_450_000 / 740_000)
    assert worst.latency_ratio == pytest.approx(180 / 47, rel=0.03)
    said = next(one.text for one in sentences(found) if one.text.startswith("Multiply-accumulates"))
    assert said.startswith(
        "Multiply-accumulates mislead on openvino, 1 thread, batch 1: `soft-pruned-int8` has 1.96x fewer than "
        "`int8-static` and takes 3.8"
    )


def test_an_order_that_multiply_accumulates_foretell_is_no_finding(folder: Build) -> None:
    steps = {"from-scratch": [], "soft": STEPS["soft"], "hard": STEPS["hard"], "pruned-structured": []}
    assert mac_contradictions(evidence(folder(steps=steps, targets=(CPU, OPENVINO), batch_sizes=(1,)).write())) == []
