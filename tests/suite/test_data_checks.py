"""Limits and tolerances against what the task turns out to be judged by, once its data is decoded."""

from pathlib import Path

import pytest

from kdbench.errors import SuiteError
from kdbench.metrics.errors import RMSE
from kdbench.protocols import Output
from kdbench.suite import reader as suites
from kdbench.suite.data_checks import refuse_misfits
from kdbench.suite.losses import Allowed

SUITE = """\
kdbench: 1
name: s
task: digits
recipes: {train: {epochs: 1}}
student: {model: cnn}
cases: {from-scratch: []}
measure: [{provider: cpu}]
"""
LOAD = Output(name="load", kind="values", axes=(1,), unit="MW", value_names=("load",), metrics=("rmse", "mae"))


def read(folder: Path, losses: str) -> suites.Suite:
    path = folder / "s.yaml"
    path.write_text(SUITE + losses)
    return suites.load(path)


@pytest.mark.parametrize(("loss", "meant"), [("0.4 MW", Allowed(0.4)), ("3%", Allowed(0.03, is_share=True))])
def test_a_loss_in_the_metrics_unit_or_as_a_share_is_one(tmp_path: Path, loss: str, meant: Allowed) -> None:
    suite = read(tmp_path, f"limits: {{rmse_rise: {loss}}}\ncheck: {{rmse: {{max_rise: {loss}}}}}\n")
    refuse_misfits(suite, (LOAD,))
    assert suite.tolerances.at("from-scratch").loss("rmse", RMSE().judging(LOAD)) == meant


def test_another_unit_and_another_metric_are_refused_with_their_lines(tmp_path: Path) -> None:
    losses = """\
limits: {rmse_rise: 400 kW, targets: {local-cpu-1t-fp32: {mae_rise: 0.1 MW}}}
check:
  rmse: {max_rise: 0.4 MW}
  cases: {from-scratch: {rmse: {max_rise: 2}}}
"""
    with pytest.raises(SuiteError) as caught:
        refuse_misfits(read(tmp_path, losses), (LOAD,))
    unit, other, bare = str(caught.value).splitlines()
    assert "s.yaml:8: limits.rmse_rise: a rise in RMSE is a number of MW, such as 0.4 MW," in unit
    assert unit.endswith("got '400 kW'.")
    assert "limits.targets.local-cpu-1t-fp32.mae_rise: the task is judged by RMSE, its first metric" in other
    assert other.endswith("whose loss is rmse_rise.")
    assert "s.yaml:11: check.cases.from-scratch.rmse.max_rise: a rise in RMSE is a number of MW" in bare
