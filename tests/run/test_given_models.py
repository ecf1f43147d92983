"""A network that somebody trained without kdbench: as it was given, made smaller, and fine-tuned."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench.cli import exit_code
from kdbench.evidence import evidence
from kdbench.results.folder import Results
from kdbench.results.records import Score

SCRIPT = Path(__file__).parents[2] / "suites" / "given" / "plain_digits.py"
SUITE = """
kdbench: 1
name: given
task: digits
seeds: [0, 1, 2]
student: {model: {net.py:Net: {width: 8}}, weights: net.pt}
recipes: {finetune: {epochs: 2, learning_rate: 0.005}}
cases:
  half: [half_precision]
  int8: [static_quantization: {samples: 64}]
  pruned: [structured_pruning: {channel_fraction: 0.25, round_to: 2}]
  as-a-file: {student: {onnx: net.onnx}, steps: [half_precision]}
measure: [{provider: cpu, processes: 3, calls: 20, seconds: 0, memory: false, start: false}]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> tuple[Path, np.ndarray]:
    """The results of the suite, and the owner's answers."""
    folder = tmp_path_factory.mktemp("given")
    net, answers = runpy.run_path(str(SCRIPT))["trained"](epochs=6)
    (folder / "net.py").write_bytes(SCRIPT.read_bytes())
    (folder / "suite.yaml").write_text(SUITE)
    wrapped = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"epoch": 6, "model_state_dict": wrapped}, folder / "net.pt")
    shape = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        net, (torch.zeros(2, 1, 8, 8),), folder / "net.onnx", dynamo=True, input_names=["their_name"],
        dynamic_shapes=shape, verbose=False,
    )  # fmt: skip
    arguments = ["run", str(folder / "suite.yaml"), "-o", str(folder / "results"), "--store", str(shared_store)]
    assert exit_code(arguments) == 0
    return folder / "results", answers.numpy()


def on_test(results: Results, case: str) -> list[Score]:
    return [record for record in results.of(Score, case) if record.split == "test"]


@pytest.mark.parametrize("case", ["as-given", "as-a-file/as-given"])
def test_its_answers_are_its_owners_to_the_last_example(ran: tuple[Path, np.ndarray], case: str) -> None:
    results = evidence(ran[0]).results
    (record,) = on_test(results, case)
    found = results.predictions(record)
    assert found is not None
    answers = found.outputs.argmax(1)
    assert np.array_equal(answers, ran[1])
    assert record.value == np.mean(answers == found.targets) > 0.9


def test_what_trains_nothing_has_one_row_and_an_interval_over_examples(ran: tuple[Path, np.ndarray]) -> None:
    found = evidence(ran[0])
    counts = {case: len(on_test(found.results, case)) for case in ("as-given", "half", "int8", "pruned")}
    assert counts == {"as-given": 1, "half": 1, "int8": 1, "pruned": 3}
    (target,) = found.targets
    (row,) = [case for case in found.cases if case.name == "as-given"]
    estimate = row.score[target].estimate
    rate, count = estimate.value, row.score[target].example_count
    assert estimate.half == pytest.approx(1.96 * np.sqrt(rate * (1 - rate) / (count - 1)), rel=1e-4)
    differences = {case.name: case.score[target].difference for case in found.cases}
    assert all(differences[name] is not None and differences[name].p is not None for name in ("half", "pruned"))


def test_the_table_says_that_nothing_was_trained(ran: tuple[Path, np.ndarray]) -> None:
    table = (ran[0] / "report" / "table.md").read_text()
    assert "nothing was trained: one file, its interval over test examples alone" in table
    assert "its accuracy's 95 % interval is over test examples alone" in table


def test_the_plan_keeps_what_was_given_and_what_was_trained(ran: tuple[Path, np.ndarray]) -> None:
    cases = json.loads((ran[0] / "plan.json").read_text())["cases"]
    said = {name: (case["given"], case["trained"], case["baseline"]) for name, case in cases.items()}
    assert said["as-given"] == (True, False, "as-given")
    assert said["pruned"] == (True, True, "as-given")
    assert said["as-a-file"] == (True, False, "as-a-file/as-given")
