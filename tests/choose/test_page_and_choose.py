"""The report's answer and `kdbench choose` name the same case, whatever the tables' letters say."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from by_hand import CPU, PHONE, Given, Shelf
from click.testing import CliRunner

from kdbench.choose import choose
from kdbench.cli import cli
from kdbench.evidence import evidence
from kdbench.render.words.sentences import sentences

Build = Callable[..., Path]
QUICK = {CPU: (50.0, 50.5, 49.5)}
FOLDERS = {
    "the fastest that is alike": {
        "from-scratch": Given(wrong=(20, 20, 20)),
        "best": Given(wrong=(14, 16, 15)),
        "fast": Given(wrong=(16, 15, 17), microseconds=QUICK),
        "bad": Given(wrong=(60, 60, 60), microseconds={CPU: (20, 20.2, 20.4)}, kilobytes=10),
    },
    "test disagrees with validation": {
        "from-scratch": Given(wrong=(40, 41, 42)),
        "good-on-validation": Given(wrong=(5, 6, 5), wrong_on_test=(80, 79, 81)),
        "good-on-test": Given(wrong=(80, 79, 81), wrong_on_test=(5, 6, 5), microseconds=QUICK),
    },
    "sizes between 1 and 2 %": {
        "from-scratch": Given(wrong=(20, 20, 20)),
        "more-accurate": Given(wrong=(14, 16, 15), microseconds=QUICK, kilobytes=101.5),
        "smaller": Given(wrong=(16, 15, 17), microseconds=QUICK, kilobytes=100),
    },
    "two devices": {
        "from-scratch": Given(microseconds={CPU: (100, 101, 102), PHONE: (300, 301, 302)}),
        "small": Given(microseconds={CPU: (50, 51, 52), PHONE: (400, 401, 402)}),
    },
}


@pytest.fixture
def shelf(tmp_path: Path) -> Build:
    def build(cases: dict[str, Given], **fields: object) -> Path:
        return Shelf(tmp_path / "results", cases, **fields).write()  # type: ignore[arg-type]

    return build


@pytest.mark.parametrize("limits", [{}, {"latency_p50": "80us"}, {"accuracy_drop": "1pt", "bytes": "1MB"}])
@pytest.mark.parametrize("named", FOLDERS)
def test_they_name_the_same_case(shelf: Build, named: str, limits: dict[str, str]) -> None:
    path = shelf(FOLDERS[named], targets=(CPU, PHONE) if named == "two devices" else (CPU,), limits=limits)
    picked = [device.pick.case if device.pick else None for device in choose(path).devices]
    answers = [one.text for one in sentences(evidence(path)) if re.match("On .*, batch", one.text)]
    assert [_first_named(text) for text in answers] == picked


def _first_named(text: str) -> str | None:
    found = re.match(r"On [^:]*: `([^`]*)`", text)
    return found[1] if found else None


def test_without_a_teacher_the_answer_says_gain_and_loss_against_the_baseline(shelf: Build) -> None:
    said = sentences(evidence(shelf(FOLDERS["the fastest that is alike"])))[0].text
    assert re.match(
        r"On cpu, 1 thread, batch 1: `fast` is 2\.0x \(1\.9 to 2\.1\) faster than `from-scratch` and of the same size, "
        r"and gains 1\.0 points \([^)]*\)\. `best` cannot be told from it in accuracy and is slower\. "
        r"`bad` is faster still \(5\.00x .*`from-scratch`\), but loses 10\.0 points",
        said,
    )


def test_a_baseline_that_is_the_pick_has_its_own_numbers(shelf: Build) -> None:
    cases = {"from-scratch": Given(wrong=(4, 4, 4)), "worse": Given(wrong=(50, 51, 49))}
    said = sentences(evidence(shelf(cases)))[0].text
    assert "`from-scratch` takes 101 µs and is right in 99.0 %." in said


def test_one_case_of_several_is_no_choice(shelf: Build) -> None:
    """As after a merge of a device that got one file: the others have no latency there."""
    nowhere: dict[str, tuple[float, ...]] = {}
    cases = {"from-scratch": Given(microseconds=nowhere), "int8": Given(), "soft": Given(microseconds=nowhere)}
    path = shelf(cases)
    (device,) = choose(path).devices
    assert device.pick is None
    assert device.shares == {}
    assert set(device.excluded) == {"from-scratch", "soft"}
    told = CliRunner().invoke(cli, ["choose", str(path)])
    assert told.exit_code == 4
    assert "only `int8` of 3 cases can be chosen" in " ".join(told.output.split())
    assert "Left out are 2 of 3 cases (`from-scratch` and `soft`)." in sentences(evidence(path))[0].text


def test_the_only_case_of_a_suite_may_be_chosen(shelf: Build) -> None:
    told = CliRunner().invoke(cli, ["choose", str(shelf({"from-scratch": Given()}))])
    assert told.exit_code == 0


def test_where_nothing_fits_the_command_fails(shelf: Build) -> None:
    told = CliRunner().invoke(cli, ["choose", str(shelf({"from-scratch": Given()})), "--latency-p50", "1us"])
    assert told.exit_code == 1
    assert "nothing fits" in told.output


def test_one_for_all_waits_for_every_device(shelf: Build) -> None:
    cases = {
        "from-scratch": Given(microseconds={CPU: (100, 101, 102)}),
        "small": Given(microseconds={CPU: (50, 51, 52), PHONE: (400, 401, 402)}),
    }
    choice = choose(shelf(cases, targets=(CPU, PHONE)))
    assert [device.undecided is None for device in choice.devices] == [True, False]
    assert choice.one_for_all is None
    assert choice.exit_code == 4
