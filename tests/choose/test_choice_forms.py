"""A choice as a reader meets it: text, Markdown, JSON, sentences for the head of the report, the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from by_hand import CPU, PHONE, Given, Shelf, failed
from click.testing import CliRunner

from kdbench.choose import Limits, choose
from kdbench.cli import cli
from kdbench.evidence import evidence
from kdbench.render.verbs.choice import asked_sentences, choice_sentences
from kdbench.render.verbs.choice_forms import WIDTH, as_json, as_markdown, as_text, asked_text

Build = Callable[..., Path]
CASES = {
    "teacher": Given(wrong=(5,), microseconds={CPU: (400, 404, 396)}, kilobytes=1000),
    "from-scratch": Given(wrong=(20, 20, 20)),
    "best": Given(wrong=(14, 16, 15)),
    "fast": Given(wrong=(16, 15, 17), microseconds={CPU: (50, 50.5, 49.5)}),
    "bad": Given(wrong=(60, 60, 60), microseconds={CPU: (20, 20.2, 20.4)}, kilobytes=10),
}


@pytest.fixture
def shelf(tmp_path: Path) -> Build:
    def build(cases: dict[str, Given] | None = None, **fields: object) -> Path:
        return Shelf(tmp_path / "results", cases or CASES, **fields).write()  # type: ignore[arg-type]

    return build


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_text_says_pick_cost_others_and_how_sure(shelf: Build) -> None:
    text = flat(as_text(choose(shelf(), Limits(latency_p50="200us", accuracy_drop="2pt"))))
    assert "cpu, 1 thread, batch 1, with p50 at most 200us and at most 2pt below `from-scratch`" in text
    assert "pick: `fast`, accuracy 96.0 ± 0.6 %, p50 50.0 µs, 97.7 KiB" in text
    assert "chosen by: accuracy 96.0 % on the validation split, +1.0 points against `from-scratch`" in text
    assert "against `from-scratch`: it gains 1.0 points" in text
    assert "2.0x (1.9 to 2.1) faster than it and is of the same size" in text
    assert "alike in accuracy: `best` (96.2 ± 0.6 %, 101 µs, 97.7 KiB)" in text
    assert "do not fit: `bad` (10.0 points below the baseline)" in text
    assert "how sure: the pick in" in text
    assert "the teacher (no candidate)" in text


def test_lines_keep_within_the_width_and_print(shelf: Build) -> None:
    hostile = "a\x1b[31m\nb " + "x" * 40
    text = as_text(choose(shelf(CASES | {hostile: Given(wrong=(1, 1, 1))})))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\x1b" not in text


def test_without_validation_the_text_says_so(shelf: Build) -> None:
    assert "There is no validation split: the choice was made on the test split" in flat(
        as_text(choose(shelf(splits=("test",))))
    )


def test_too_few_seeds_are_said(shelf: Build) -> None:
    cases = {"from-scratch": Given(wrong=(20, 20)), "fast": Given(wrong=(18, 17))}
    assert "2 seeds: too few to tell cases apart by" in flat(as_text(choose(shelf(cases))))


def test_nothing_fitting_says_what_is_in_the_way_and_by_how_much(shelf: Build) -> None:
    text = flat(as_text(choose(shelf(), Limits(latency_p50="45us", accuracy_drop="1pt"))))
    assert "`fast` comes nearest with p50 50.0 µs against 45us (1.11x), and keeps to every other limit" in text
    assert "`bad` comes nearest with 10.0 points below the baseline against 1pt" in text


def test_what_is_left_out_carries_its_reason(shelf: Build) -> None:
    text = flat(as_text(choose(shelf(extra=(failed("best"),)))))
    assert "left out: `best` (failed (seed 0): kd became infinite in epoch 3.)" in text


def test_one_model_for_all_is_told_with_what_it_loses(shelf: Build) -> None:
    times = {
        "from-scratch": (100, 500),
        "for-cpu": (20, 400),
        "for-phone": (80, 100),
        "for-both": (25, 120),
    }
    cases = {
        name: Given(microseconds={CPU: (cpu, cpu, cpu), PHONE: (phone, phone, phone)})
        for name, (cpu, phone) in times.items()
    }
    text = flat(as_text(choose(shelf(cases, targets=(CPU, PHONE)))))
    assert "One model for all of these pick: `for-both`." in text
    assert "1.25x slower than the pick on cpu, 1 thread, batch 1." in text


def test_markup_in_names_is_code_in_markdown(shelf: Build) -> None:
    text = as_markdown(choose(shelf(CASES | {"<b>|`x`*": Given(wrong=(1, 1, 1))})))
    assert "**pick**: `<b>|'x'*`, accuracy" in text
    assert "# What to ship: by-hand" in text


def test_json_has_everything_unrounded_and_nothing_else(shelf: Build) -> None:
    data = json.loads(as_json(choose(shelf(), Limits(bytes="1MB"))))
    (device,) = data["devices"]
    assert device["pick"]["case"] == "fast"
    assert device["pick"]["latency_p50_ns"]["value"] == pytest.approx(50_000, rel=1e-3)
    assert device["limits"] == {"bytes": "1MB"}
    assert device["shares"]["fast"] <= 1
    assert data["schema"] == 2


def test_sentences_for_the_head_of_a_report(shelf: Build) -> None:
    first, *_, basis = choice_sentences(choose(shelf(), Limits(latency_p50="200us")))
    assert "On cpu, 1 thread, batch 1, with p50 at most 200us: ship `fast`" in first.text
    assert "`best` cannot be told from the best in accuracy, but can in latency." in first.text
    assert "of 1,000 resamples" in first.text
    assert basis.text.startswith("Chosen on the validation split")


def test_a_suite_without_limits_has_nothing_at_its_head(shelf: Build) -> None:
    found = evidence(shelf())
    assert asked_sentences(found) == ()
    assert asked_text(found) == ""


def test_a_choice_that_cannot_be_made_says_why_and_stops_no_report(shelf: Build) -> None:
    found = evidence(shelf(limits={"memory": "8MiB"}))
    (sentence,) = asked_sentences(found)
    assert sentence.text == asked_text(found)
    assert "No choice was made: no case's memory was measured" in sentence.text


def test_the_command_answers_in_the_form_asked_for(shelf: Build) -> None:
    path = shelf()
    told = CliRunner().invoke(cli, ["choose", str(path), "--latency-p50", "30us", "--format", "json"])
    assert json.loads(told.output)["devices"][0]["pick"]["case"] == "bad"
    told = CliRunner().invoke(cli, ["choose", str(path), "--accuracy-drop", "1pt", "--target", CPU])
    assert "pick:" in told.output
    assert "`fast`" in told.output


def test_a_limit_without_a_unit_is_refused_by_its_option(shelf: Build) -> None:
    told = CliRunner().invoke(cli, ["choose", str(shelf()), "--bytes", "100"])
    assert told.exit_code == 2
    assert "'--bytes': a size is a number with one of B, kB" in flat(told.output)


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        (
            "--accuracy-drop",
            "1",
            "'--accuracy-drop': a drop in accuracy is a number with one of pt, pts, %",
        ),
        ("--accuracy-rise", "1pt", "accuracy is better where it is higher, and loses by a drop: accuracy_drop."),
        (
            "--rmse-rise",
            "0.4 MW",
            "rmse_rise: the task is judged by accuracy, its first metric, whose loss is accuracy_drop.",
        ),
        ("--accurcy-drop", "1pt", "Did you mean one of: '--accuracy-drop'"),
    ],
)
def test_a_loss_is_limited_by_the_metrics_own_name_and_unit(shelf: Build, option: str, text: str, said: str) -> None:
    told = CliRunner().invoke(cli, ["choose", str(shelf()), option, text])
    assert said in flat(told.output + str(told.exception))
