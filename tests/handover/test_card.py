"""The model card beside a handed-over model: metadata that hubs read, and what was measured."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from handed import Source
from ruamel.yaml import YAML

from kdbench.cli import cli
from kdbench.handover.card import card, pipeline
from kdbench.handover.get import get


def metadata(text: str) -> dict[str, Any]:
    """What stands between the two lines of hyphens, as a hub reads it."""
    start, head, _ = text.split("---\n", 2)
    assert start == ""
    return dict(YAML(typ="safe").load(head))


def test_the_metadata_has_what_was_measured_and_no_license_by_itself(digits: Source, tmp_path: Path) -> None:
    handed = get(digits.results, "linear", tmp_path / "out", seed=1)
    text = (handed.folder / "README.md").read_text(encoding="utf-8")
    said = metadata(text)
    accuracy = handed.manifest["measured"][0]["accuracy"]["test"]["value"]
    assert said == {
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["onnx", "kdbench", "soft_distillation"],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": "s linear",
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": "digits", "type": "digits", "split": "test"},
                        "metrics": [{"type": "accuracy", "name": "accuracy", "value": accuracy}],
                    }
                ],
            }
        ],
    }
    assert f"| cpu, 1 thread, fp32 | accuracy {100 * accuracy:.1f} % (357 examples) | 51.0 µs at batch 1 |" in text
    assert "| Imaginary Processor 9000 | 2026-01-02 |" in text
    assert "Peak memory" not in text  # nobody measured it
    assert handed.manifest["model"]["sha256"] in text


def test_hugging_faces_own_reader_takes_the_card(digits: Source, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    handed = get(digits.results, "linear", tmp_path / "out", seed=1, license_id="apache-2.0")
    read = hub.ModelCard((handed.folder / "README.md").read_text(encoding="utf-8"))
    assert (read.data.license, read.data.library_name) == ("apache-2.0", "onnx")
    (result,) = read.data.eval_results
    accuracy = handed.manifest["measured"][0]["accuracy"]["test"]["value"]
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", accuracy, "test")


def test_the_verb_names_a_license_and_refuses_what_is_none(digits: Source, tmp_path: Path) -> None:
    given = ["get", str(digits.results), "linear", "--seed", "1", "-o"]
    said = CliRunner().invoke(cli, [*given, str(tmp_path / "a"), "--license", "cc-by-4.0"])
    assert said.exit_code == 0, said.output
    assert metadata((tmp_path / "a" / "README.md").read_text(encoding="utf-8"))["license"] == "cc-by-4.0"
    said = CliRunner().invoke(cli, [*given, str(tmp_path / "b"), "--license", "my own: none"])
    assert said.exit_code == 2
    assert "expected the identifier of a license, such as apache-2.0" in said.output


def made(**fields: Any) -> dict[str, Any]:
    """A manifest of two targets and two metrics."""
    entry = {
        "target": "local-cpu-1t-fp32",
        "runtime": "onnxruntime 1",
        "accuracy": {"test": {"metric": "rmse", "unit": "MW", "value": 2.5, "example_count": 9}},
        "scores": [{"metric": "rmse", "value": 2.5}, {"metric": "mine.py:Peak", "output": "load", "value": 0.25}],
        "latency": [],
        "memory": [],
    }
    return {
        "suite": "s: #1",
        "case": "yes",
        "chosen": "Seed 0.",
        "steps": [{"mine.py:Own": {}}, {"static_quantization": {}}],
        "model": {"file": "model.onnx", "sha256": "ab", "bytes": 10, "parameter_count": 1},
        "inputs": [{"name": "x", "shape": ["batch", 4], "type": "float32", "role": "values", "axes": [4]}],
        "outputs": [{"name": "y", "shape": ["batch", 1], "type": "float32", "kind": "values"}],
        "measured": [entry, {**entry, "target": "pi-cpu-2t-fp32"}],
        "data": {"task": "table", "example_counts": {"test": 9}, "origin": "a <b>|*table*\n# no heading"},
        **fields,
    }


def test_names_of_any_kind_stay_what_they_are() -> None:
    text = card(made(reads="tables"), None)
    said = metadata(text)
    assert said["model-index"][0]["name"] == "s: #1 yes"
    assert said["tags"] == ["onnx", "kdbench", "Own", "static_quantization"]
    assert said["pipeline_tag"] == "tabular-regression"
    assert said["metrics"] == ["rmse", "Peak"]
    assert "rmse 2.50 MW (9 examples); Peak of load 0.25" in text
    assert "| pi, cpu, 2 threads, fp32 |" in text
    assert "a \\<b\\>\\|\\*table\\* \\# no heading" in text


@pytest.mark.parametrize(
    ("reads", "axes", "kind", "name"),
    [
        ("images", [3, 8, 8], "dense_classes", "image-segmentation"),
        (None, [3, 8, 8], "classes", "image-classification"),
        ("texts", ["length"], "token_classes", "token-classification"),
        ("sounds", [40, "time"], "sequence", "automatic-speech-recognition"),
        (None, [64], "classes", None),
        ("texts", ["length"], "values", None),
    ],
)
def test_the_hubs_name_of_a_task_is_said_where_it_has_one(
    reads: str | None, axes: list[Any], kind: str, name: str | None
) -> None:
    manifest = made(reads=reads, outputs=[{"kind": kind}])
    manifest["inputs"] = [{"role": "values", "axes": axes}, {"role": "mask", "axes": axes}]
    assert pipeline(manifest) == name
