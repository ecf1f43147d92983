import copy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kdbench import registry
from kdbench.suite.schema import schema
from kdbench.suite.yaml_lines import read

SUITES = Path(__file__).parents[2] / "suites"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(schema())
    return Draft202012Validator(schema())


@pytest.fixture
def quickstart() -> dict[str, Any]:
    return copy.deepcopy(read(SUITES / "quickstart.yaml").data)


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_suite_of_the_repository_follows_the_schema(
    path: Path, validator: Draft202012Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_DATA", "/data")
    monkeypatch.setenv("KDBENCH_MODELS", "/models")
    monkeypatch.setenv("KDBENCH_OPENVINO_PYTHON", "/envs/openvino/bin/python")
    monkeypatch.setenv("KDBENCH_ENVS", "/envs")
    assert [error.message for error in validator.iter_errors(read(path).data)] == []


@pytest.mark.parametrize(("kind", "definition"), [("technique", "step"), ("model", "model"), ("task", "task")])
def test_every_registered_part_and_its_fields_are_in_the_schema(kind: str, definition: str) -> None:
    parts = schema()["$defs"][definition]["anyOf"][2]["properties"]
    assert parts.keys() == registry.names(kind).keys()
    for name in parts:
        fields = registry.resolve(kind, name).model_fields.keys()
        assert fields <= parts[name].get("properties", {}).keys()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("kdbench",), 2),
        (("names",), "x"),
        (("seeds",), []),
        (("recipes", "train", "epoch"), 3),
        (("recipes", "train", "epochs"), 0),
        (("teacher", "model"), {"cnn": {"channel": [1]}}),
        (("teacher", "model"), "resnet202"),
        (("cases", "soft"), [{"soft_distillation": {"temperature": -1}}]),
        (("cases", "soft"), [{"soft_distillation": {"temperature": {"grid": [1, -1]}}}]),
        (("cases", "soft"), ["mixed_distillation"]),
        (("cases", "int8-static"), [{"static_quantization": {"recipe": "train"}}]),
        (("cases", "a/b"), []),
        (("measure", 0, "processes"), 2),
    ],
)
def test_an_editor_sees_what_is_wrong(
    place: tuple[Any, ...], value: Any, quickstart: dict[str, Any], validator: Draft202012Validator
) -> None:
    inner: Any = quickstart
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert not validator.is_valid(quickstart)


@pytest.mark.parametrize(
    "steps",
    [
        [{"soft_distillation": {"temperature": {"grid": [1, 2]}, "recipe": "train"}}],
        ["mine.py:Mine"],
        [{"mine.py:Mine": {"anything": 1}}],
    ],
)
def test_an_editor_takes_grids_recipes_and_own_parts(
    steps: list[Any], quickstart: dict[str, Any], validator: Draft202012Validator
) -> None:
    quickstart["cases"] = {"list": steps, "mapping": {"steps": steps, "student": {"model": "mlp"}, "recipe": "train"}}
    assert [error.message for error in validator.iter_errors(quickstart)] == []
