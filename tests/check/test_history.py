"""Results over time: what is kept, when a step is called one, and what a check is then held against."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from gate_folders import TARGET, WIDE, Folder, Net, latency

from kdbench.check.history import Entry, Point, append, read_history
from kdbench.check.steps import Series, Step, series_of, steps_of
from kdbench.cli import cli
from kdbench.errors import StoreError
from kdbench.render.verbs.history import said_of, written

COMMIT = {"id": "0123456789abcdef", "dirty": False}


def point(value: float, spread: float = 0.002, seed: int = 0, **fields: object) -> Point:
    """A latency whose five processes scatter by `spread` (standard deviation, relative) about `value`."""
    draw = random.Random(seed)
    each = tuple(value * (1 + draw.gauss(0, spread)) for _ in range(5))
    given = {"file_sha256": f"f{value}", "fingerprint": "m", **fields}
    return Point(
        case="soft", metric="latency", target=TARGET, batch_size=1, value=value, each=each, limit=1.03, **given
    )  # type: ignore[arg-type]


def series(points: Sequence[Point]) -> Series:
    entries = [
        Entry(suite="s", commit=f"{place}" * 8, dirty=False, created_utc=f"2026-01-{place + 1:02}T00:00:00+00:00",
              kdbench="0", accepted=False, points=(each,)) for place, each in enumerate(points)
    ]  # fmt: skip
    return Series(tuple(entries), tuple(points))


def found(values: Sequence[float], **fields: object) -> list[Step]:
    return steps_of(series([point(value, seed=place, **fields) for place, value in enumerate(values)]))


def test_a_step_is_dated_to_the_first_of_two_runs_that_depart_alike() -> None:
    (step,) = found([1000, 1001, 1060, 1061, 1060])
    assert (step.entry.commit, step.is_worse, step.is_confirmed) == ("2" * 8, True, True)
    (back,) = found([1060, 1060, 1000, 1000])
    assert (back.entry.commit, back.is_worse) == ("2" * 8, False)


def test_one_run_that_departs_is_an_outlier_and_the_newest_is_suspected() -> None:
    assert found([1000, 1000, 1080, 1000, 1000]) == []
    (step,) = found([1000, 1000, 1080])
    assert not step.is_confirmed
    assert said_of(step).startswith(
        "suspected, the next run will tell: soft, latency on cpu, 1 thread, batch 1: slower"
    )


def test_slow_creep_adds_up_until_it_shows() -> None:
    (step,) = found([1000, 1008, 1016, 1024, 1032, 1033])
    assert step.level.value == 1000
    assert step.is_worse


def test_after_a_step_there_is_a_new_level() -> None:
    up, down = found([1000, 1060, 1060, 1000, 1000])
    assert (up.is_worse, down.is_worse) == (True, False)
    assert down.level.value == 1060


def test_processes_that_do_not_agree_make_no_step() -> None:
    assert (
        steps_of(series([point(value, spread=0.2, seed=3 * place) for place, value in enumerate([1000, 1060, 1060])]))
        == []
    )


def test_another_machine_or_runtime_begins_a_new_level_and_is_said() -> None:
    points = [point(1000), point(1000), point(2000, fingerprint="n"), point(2000, fingerprint="n")]
    assert steps_of(series(points)) == []
    text = written(series(points).entries, "text")
    assert "cpu, 1 thread: another machine or runtime since 22222222 (2026-01-03)" in text


def test_a_step_of_the_same_file_is_laid_to_the_machine() -> None:
    (step,) = found([1000, 1060, 1060], file_sha256="one")
    assert "The file is the same byte for byte" in said_of(step)
    (other,) = found([1000, 1060, 1060])
    assert "byte for byte" not in said_of(other)


def test_equal_runs_are_rarely_called_a_step_and_a_slow_down_by_5_percent_seldom_missed() -> None:
    """Ten runs each, processes and runs scatter by 0.5 %, 200 histories; limit 3 %."""
    draw, false, missed = random.Random(5), 0, 0
    for number in range(200):
        level = [1000 * (1 + draw.gauss(0, 0.005)) for _ in range(10)]
        equal = [point(value, 0.005, 100 * number + place) for place, value in enumerate(level)]
        slower = [
            point(value * (1.05 if place >= 5 else 1), 0.005, 100 * number + place) for place, value in enumerate(level)
        ]
        false += any(step.is_confirmed for step in steps_of(series(equal)))
        missed += not any(step.is_confirmed and step.is_worse for step in steps_of(series(slower)))
    assert false <= 4
    assert missed <= 4


@pytest.mark.parametrize(
    ("metric", "fields", "values", "word"),
    [
        ("size", {"limit": 1.01}, (10_000, 10_050, 10_200), "larger"),
        ("score", {"limit": 0.005, "direction": "higher", "unit": "fraction"}, (0.98, 0.978, 0.97), "worse"),
        ("score", {"limit": 0.1, "direction": "lower", "label": "rmse"}, (2.0, 2.05, 1.8), "better"),
    ],
)
def test_sizes_and_scores_step_where_they_pass_the_tolerance(
    metric: str, fields: dict[str, object], values: tuple[float, ...], word: str
) -> None:
    points = [Point(case="c", metric=metric, target=TARGET, value=value, **fields) for value in values]  # type: ignore[arg-type]
    (step,) = steps_of(series(points))
    assert (step.entry.commit, step.is_confirmed) == ("2" * 8, True)
    assert f": {word} since 22222222 (2026-01-03)" in said_of(step)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    timed = latency("soft", TARGET, fingerprint="m")
    made = Folder(tmp_path_factory.mktemp("history") / "r", {"from-scratch": Net(), "soft": Net()}, check=WIDE)
    made.extra = (timed,)
    return made.write()


def test_what_is_appended_is_read_again_and_the_same_run_twice_is_one(folder: Path, tmp_path: Path) -> None:
    entry, path = append(folder, tmp_path / "h", COMMIT)
    assert append(folder, tmp_path / "h", COMMIT)[1] == path
    assert read_history(tmp_path / "h") == [entry]
    timed = next(each for each in entry.points if each.metric == "latency")
    assert (timed.value, timed.each, timed.limit, timed.fingerprint) == (1000.0, (1000.0,) * 3, 1.5, "m")
    assert len(timed.file_sha256) == 64
    assert {(each.case, each.metric) for each in entry.points} >= {("soft", "size"), ("soft", "score")}
    assert path.stat().st_size < 4000
    assert len(series_of([entry, replace(entry, created_utc="2027")])) == len(entry.points)


def test_a_history_of_another_suite_a_damaged_one_and_none_are_sentences(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no history; `kdbench history append"):
        read_history(tmp_path)
    _, path = append(folder, tmp_path / "h", COMMIT)
    path.write_text(path.read_text().replace('"suite": "tiny"', '"suite": "other"'))
    with pytest.raises(StoreError, match="is the history of suite other, not of tiny"):
        append(folder, tmp_path / "h", COMMIT)
    path.write_text('{"schema": 1}\n')
    with pytest.raises(StoreError, match="is damaged"):
        read_history(tmp_path / "h")


def test_a_check_against_a_history_is_held_to_the_run_that_was_accepted(folder: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    arguments = ["history", "append", str(folder), "--to", str(tmp_path / "h"), "--commit", "abc"]
    assert run(cli, arguments).exit_code == 0
    check = ["check", str(folder), "--against", str(tmp_path / "h")]
    refused = run(cli, check)
    assert isinstance(refused.exception, StoreError)
    assert "no run in the history" in str(refused.exception)
    assert "--accept" in str(refused.exception)
    assert run(cli, [*arguments, "--accept"]).exit_code == 0
    ended = run(cli, check)
    assert ended.exit_code == 0, ended.output
    shown = run(cli, ["history", "show", str(tmp_path / "h"), "--format", "markdown"])
    assert "| soft | latency | cpu, 1 thread, batch 1 |" in shown.output
