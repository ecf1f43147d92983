"""A task that predicts values is told in its own unit, and lower is better, wherever numbers are told."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from folders import STEPS
from values_folder import ERRORS, ValuesFolder

from kdbench.check.scores import compared_values
from kdbench.choose import Limits, choose
from kdbench.cli import cli
from kdbench.errors import KdbenchError
from kdbench.evidence import evidence
from kdbench.render import render
from kdbench.results.records import CallSize
from kdbench.suite.losses import usual

SETTING = ("local-cpu-1t-fp32", CallSize(1))
CASES = {name: STEPS[name] for name in ERRORS if name != "teacher"}


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ValuesFolder(tmp_path_factory.mktemp("values") / "results", steps=CASES, batch_sizes=(1,)).write()


@pytest.fixture(scope="module")
def page(values: Path) -> tuple[str, str]:
    """The Markdown table and the page."""
    written = render(values, values / "report", ("html", "markdown", "csv"))
    return (values / "report" / "table.md").read_text(), written[0].read_text()


def test_the_table_and_its_sentences_are_in_megawatts(page: tuple[str, str]) -> None:
    table, _ = page
    assert "RMSE (MW)" in table
    assert "RMSE on the test split: mean and 95 % t interval over 3 seeds." in table
    assert "lowers RMSE by" in table
    assert "raises RMSE by" in table
    assert "MW" in table
    assert "accura" not in table.lower().replace("accuracy-", "")


def test_the_page_names_no_accuracy(page: tuple[str, str]) -> None:
    _, html = page
    assert "test RMSE, MW" in html
    assert "R²" in html
    assert "Further metrics" in html


def test_letters_begin_with_the_lowest(values: Path) -> None:
    views = {case.name: case.score[SETTING[0]] for case in evidence(values).cases}
    assert views["soft"].letters == "a"
    assert "a" not in views["pruned-structured"].letters
    assert views["soft"].estimate.value == pytest.approx(1.2 * 0.955, rel=0.05)  # the spread of its drawn errors


def test_choose_takes_the_lowest_error_and_a_share_of_it_as_limit(values: Path) -> None:
    chosen = choose(values, resample_count=50).devices[0]
    assert chosen.pick is not None
    assert chosen.pick.case == "soft"
    assert chosen.split_value["soft"] < chosen.split_value["from-scratch"]
    limited = choose(values, Limits(rmse_rise="3%"), resample_count=0).devices[0]
    missed = {miss.case: miss.value for miss in limited.misses}
    assert missed.keys() == {"pruned-structured"}
    assert missed["pruned-structured"] == pytest.approx(2.4 / 1.5 - 1, rel=0.05)
    in_its_unit = choose(values, Limits(rmse_rise="0.4 MW"), resample_count=0).devices[0]
    missed = {miss.case: miss.value for miss in in_its_unit.misses}
    assert missed.keys() == {"pruned-structured"}
    assert missed["pruned-structured"] == pytest.approx(2.4 - 1.5, rel=0.1)
    with pytest.raises(KdbenchError, match=r"rmse_rise: a rise in RMSE is a number of MW, such as 0.4 MW, or a share"):
        choose(values, Limits(rmse_rise="0.4 kW"))
    with pytest.raises(
        KdbenchError, match="accuracy_drop: the task is judged by RMSE, its first metric, whose loss is rmse"
    ):
        choose(values, Limits(accuracy_drop="1pt"))


def test_the_verb_says_the_choice_in_its_unit(values: Path) -> None:
    said = CliRunner().invoke(cli, ["choose", str(values)])
    assert said.exit_code == 0, said.output
    assert "RMSE" in said.output
    assert "MW" in said.output
    assert "accura" not in said.output


def test_a_metric_is_added_to_a_finished_run(values: Path) -> None:
    said = CliRunner().invoke(cli, ["score", str(values), "--metric", "mae"])
    assert said.exit_code == 0, said.output
    assert "MAE: 13 records added" in said.output
    assert "MAE" in render(values, values / "again", ("html",))[0].read_text()
    wrong = CliRunner().invoke(cli, ["score", str(values), "--metric", "macro_f1"])
    assert "macro F1 judges outputs of kind classes, multilabel, token_classes" in str(wrong.exception)


def test_a_check_judges_by_the_interval_of_the_relative_loss(values: Path) -> None:
    results = evidence(values).results
    found = {(one.case, one.seed): results.predictions(one) for one in results.scores()}

    def each(new: str, old: str) -> object:
        import numpy as np

        rows = [[found[case, seed].pseudo_values for case in (new, old)] for seed in (0, 1, 2)]  # type: ignore[union-attr]
        return compared_values(results.metric, results.scale, np.array(rows), usual(results.metric))[0]

    assert each("from-scratch", "from-scratch") == "ok"
    assert each("soft", "from-scratch") == "ok"
    assert each("pruned-structured", "from-scratch") == "worse"


def test_a_case_that_answers_the_mean_is_said_and_never_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ERRORS, "soft", 8.0)  # the targets' own spread is 6 MW
    folder = ValuesFolder(tmp_path / "results", steps=CASES, batch_sizes=(1,), call_count=50).write()
    found = evidence(folder)
    said = [one.sentence for one in found.findings]
    assert any(
        "is no better than a constant answer: RMSE" in one and "always answering the targets' mean" in one
        for one in said
    )
    assert "soft" in choose(found, resample_count=0).devices[0].excluded


def test_a_case_without_a_value_is_no_case_to_compare(tmp_path: Path) -> None:
    """One seed without a value takes the whole case out: the others' mean would be another case's."""
    folder = ValuesFolder(tmp_path / "results", steps=CASES, batch_sizes=(1,), call_count=50).write()
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    for line in lines:
        if (line["kind"], line.get("case"), line.get("seed"), line.get("metric")) == ("score", "soft", 1, "rmse"):
            line["undefined"] = "the answers never vary"
            del line["value"]
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = evidence(folder)
    case = found.case("soft")
    assert case is not None
    assert case.score == {}
    assert case.problems == (
        "without a value on local-cpu-1t-fp32 (seed 1): test has no RMSE: the answers never vary.",
    )
    assert "the answers never vary" in choose(found, resample_count=0).devices[0].excluded["soft"]
