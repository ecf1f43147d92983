"""Tolerances: what a suite may write under `check`, which of them wins for a case, and that the results carry them."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kdbench.errors import SuiteError
from kdbench.evidence import read_results
from kdbench.metrics.accuracy import Accuracy
from kdbench.metrics.errors import RMSE
from kdbench.plan.rows import make_plan
from kdbench.protocols import Output
from kdbench.run.collect import Results
from kdbench.stages.store import Store
from kdbench.suite import reader as suites
from kdbench.suite.losses import Allowed
from kdbench.suite.schema import schema
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.timing.machine import Machine

SUITE = """\
kdbench: 1
name: s
task: digits
seeds: [0]
recipes: {train: {epochs: 1}}
student: {model: cnn}
cases: {from-scratch: [], smooth: [label_smoothing: {smoothing: {grid: [0.1, 0.2]}}]}
measure:
  - {provider: cpu}
"""


def loaded(folder: Path, check: str) -> suites.Suite:
    path = folder / "s.yaml"
    path.write_text(SUITE + check)
    return suites.load(path)


def test_a_suite_that_says_nothing_gets_the_defaults(tmp_path: Path) -> None:
    held = loaded(tmp_path, "").tolerances.at("from-scratch")
    assert (held.latency.max_ratio, held.loss("accuracy", Accuracy()), held.size.max_ratio) == (
        1.03,
        Allowed(0.005),
        1.01,
    )


def test_a_cases_own_tolerances_win_metric_by_metric() -> None:
    own: dict[str, Any] = {
        "latency": {"max_ratio": 1.1},
        "accuracy": {"max_drop": "1pt"},
        "cases": {"soft": {"latency": {"max_ratio": 1.2}}, "soft/temperature=4": {"size": {"max_ratio": 2}}},
    }
    tolerances = SuiteTolerances.from_fields(own)
    assert tolerances.at("hard").latency.max_ratio == 1.1
    assert tolerances.at("soft/temperature=1").latency.max_ratio == 1.2
    both = tolerances.at("soft/temperature=4")
    assert (both.latency.max_ratio, both.size.max_ratio, both.loss("accuracy", Accuracy())) == (1.2, 2.0, Allowed(0.01))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("{latncy: {max_ratio: 2}}", "s.yaml:10: check.latncy: check has no field 'latncy'. Did you mean 'latency'?"),
        ("{latency: {max_ratio: 1}}", "s.yaml:10: check.latency.max_ratio: must be > 1, got 1."),
        ("\n  size: {max_ratio: 0}", "s.yaml:11: check.size.max_ratio: must be > 0, got 0."),
        (
            "{accuracy: {max_drop: 0.005}}",
            "s.yaml:10: check.accuracy.max_drop: a drop in accuracy is a number with one of pt, pts, %, such as 1pt; "
            "got '0.005'.",
        ),
        (
            "{macro_f1: {max_rise: 1pt}}",
            "s.yaml:10: check.macro_f1.max_rise: macro F1 is better where it is higher, and loses by a drop: max_drop.",
        ),
        (
            "{cases: {smooth: {rmsee: {max_rise: 1 MW}}}}",
            "s.yaml:10: check.cases.smooth.rmsee: check has no field 'rmsee'. Did you mean 'rmse'?",
        ),
        (
            "{rmse: {max_rise: much}}",
            "s.yaml:10: check.rmse.max_rise: a rise in RMSE is a plain number or a share of it, such as 3%; "
            "got 'much'.",
        ),
        (
            "\n  cases:\n    smoth: {size: {max_ratio: 2}}",
            "s.yaml:12: check.cases.smoth: there is no case 'smoth'. Did you mean 'smooth'?",
        ),
        ("[]", "s.yaml:10: check: must be a mapping, got []."),
    ],
)
def test_a_wrong_tolerance_is_named_with_its_line(tmp_path: Path, check: str, message: str) -> None:
    with pytest.raises(SuiteError) as error:
        loaded(tmp_path, f"check: {check}\n")
    assert str(error.value).endswith(message)


def test_what_may_be_lost_is_told_in_the_metrics_own_unit_and_way() -> None:
    megawatts = RMSE().judging(Output(kind="values", axes=(1,), unit="MW"))
    assert SuiteTolerances().at("a").loss("rmse", megawatts) == Allowed(0.03, is_share=True)
    for text, meant in ((0.4, None), ("0.4 MW", Allowed(0.4)), ("3%", Allowed(0.03, True)), ("0.4 kW", None)):
        held = SuiteTolerances.from_fields({"rmse": {"max_rise": text}})
        if meant is None:
            with pytest.raises(ValueError, match=r"a rise in RMSE is a number of MW, such as 0\.4 MW, or a share"):
                held.check_losses("rmse", megawatts)
        else:
            assert held.loss("rmse", megawatts) == meant
    with pytest.raises(ValueError, match="judged by RMSE, its first metric, whose loss is rmse_rise"):
        SuiteTolerances.from_fields({"accuracy": {"max_drop": "1pt"}}).check_losses("rmse", megawatts)


def test_a_grid_is_one_name_for_all_its_cases(tmp_path: Path) -> None:
    suite = loaded(tmp_path, "check: {cases: {smooth: {latency: {max_ratio: 1.2}}}}\n")
    assert suite.tolerances.at("smooth/smoothing=0.1").latency.max_ratio == 1.2


def test_editors_know_the_form() -> None:
    validator = Draft202012Validator(schema())
    suite: dict[str, Any] = {
        **{"kdbench": 1, "name": "s", "task": "digits", "seeds": [0], "recipes": {"train": {"epochs": 1}}},
        **{"student": {"model": "cnn"}, "cases": {"a": []}, "measure": [{"provider": "cpu"}]},
    }
    good = {"latency": {"max_ratio": 1.1}, "accuracy": {"max_drop": "1pt"}, "cases": {"a": {"size": {"max_ratio": 2}}}}
    assert not list(validator.iter_errors({**suite, "check": good}))
    for bad in (
        {"latency": {"max_ratio": 1}},
        {"accuracy": {"max_drop": 0.01}},
        {"sizes": {}},
        {"cases": {"a": {"x": 1}}},
    ):
        assert list(validator.iter_errors({**suite, "check": bad}))


def test_the_results_folder_carries_them_whole(tmp_path: Path) -> None:
    runtime = {"fingerprint": "f", "runtime": "onnxruntime", "runtime_version": "1", "facts": {}, "also": {}}
    machine = Machine("cpu", "x86_64", {None: runtime})
    plan = make_plan(loaded(tmp_path, "check: {latency: {max_ratio: 1.1}}\n"), machine)
    folder = tmp_path / "results"
    written = Results(folder, plan, Store(tmp_path / "store"))
    written.write_plan("", [])
    (folder / "records.jsonl").write_text("")
    said = json.loads((folder / "plan.json").read_text())["check"]
    assert said["latency"] == {"max_ratio": 1.1}
    assert said["size"] == {"max_ratio": 1.01}  # so that another default changes nothing later
    assert SuiteTolerances.from_fields(read_results(folder).plan.check) == plan.suite.tolerances
    assert plan.stages.keys() == make_plan(loaded(tmp_path, ""), machine).stages.keys()  # nothing is computed again
