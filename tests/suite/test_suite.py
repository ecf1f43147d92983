import copy
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdbench.errors import SuiteError
from kdbench.suite.cases import Suite
from kdbench.suite.reader import load
from kdbench.suite.selection import select

SUITES = Path(__file__).parents[2] / "suites"
NINE = (
    "from-scratch",
    "soft",
    "hard",
    "mixed",
    "pruned-unstructured",
    "pruned-structured",
    "int8-dynamic",
    "int8-static",
    "soft-pruned-int8",
)
PLAIN: dict[str, Any] = {
    "kdbench": 1,
    "name": "plain",
    "task": "digits",
    "seeds": [0, 1, 12],
    "recipes": {"train": {"epochs": 3}, "finetune": {"epochs": 1}, "long": {"epochs": 9, "weight_decay": 1e-4}},
    "teacher": {"model": {"cnn": {"channels": [32, 64]}}, "recipe": "long"},
    "student": {"model": "cnn"},
    "cases": {
        "from-scratch": [],
        "soft": [{"soft_distillation": {"temperature": {"grid": [1, 2.5]}}}],
        "soft-pruned-int8": [
            "soft_distillation",
            {"structured_pruning": {"channel_fraction": 0.5}},
            "static_quantization",
        ],
    },
    "measure": [{"provider": "cpu", "threads": [1, 2], "batch_sizes": [1, 32]}],
}


def suite(folder: Path, **changes: Any) -> Suite:
    return written(folder, {**copy.deepcopy(PLAIN), **changes})


def written(folder: Path, data: Any) -> Suite:
    path = folder / "s.yaml"
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")  # JSON is YAML 1.2
    return load(path)


@pytest.mark.parametrize("name", sorted(path.name for path in SUITES.glob("*.yaml")))
def test_every_suite_of_the_repository_loads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_DATA", "/data")
    monkeypatch.setenv("KDBENCH_MODELS", "/models")
    monkeypatch.setenv("KDBENCH_OPENVINO_PYTHON", "/envs/openvino/bin/python")
    monkeypatch.setenv("KDBENCH_ENVS", "/envs")
    if name == "text-minilm.yaml" and importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    found = load(SUITES / name)
    assert found.name == Path(name).stem
    assert found.about


@pytest.mark.parametrize(("name", "seed_count"), [("quickstart", 5), ("cifar10-small", 3)])
def test_both_first_suites_have_the_nine_cases_over_some_seeds(
    name: str, seed_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDBENCH_DATA", "/data")
    found = load(SUITES / f"{name}.yaml")
    assert tuple(found.cases) == NINE
    assert found.seeds == tuple(range(seed_count))


def test_loading_never_imports_torch() -> None:
    code = (
        "import sys; from kdbench.suite.reader import load; load(sys.argv[1]); "
        "print({'torch', 'onnx', 'onnxruntime', 'sklearn', 'pandas', 'PIL'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", code, str(SUITES / "quickstart.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(SUITES.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "set()"


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    found = suite(tmp_path, measure=[{"provider": "cpu"}])
    assert found.baseline == "from-scratch"
    assert found.student.recipe == "train"
    (teacher,) = found.teachers
    assert (teacher.seed, teacher.per_seed) == (0, False)
    entry = found.measure[0]
    assert (entry.threads, entry.batch_sizes, entry.precisions) == ((1,), (1,), ("fp32",))
    assert (entry.processes, entry.calls, entry.seconds, entry.memory) == (5, 1000, 1.0, True)


def test_a_part_carries_every_field_defaults_included(tmp_path: Path) -> None:
    found = suite(tmp_path).cases["soft-pruned-int8"].steps[1]
    assert found.spec.name == "structured_pruning"
    assert found.spec.fields["channel_fraction"] == 0.5
    assert found.spec.fields == found.technique.to_fields()
    assert found.spec.build() == found.technique


def test_a_grid_becomes_one_case_a_value(tmp_path: Path) -> None:
    found = suite(tmp_path)
    assert list(found.cases) == ["from-scratch", "soft/temperature=1", "soft/temperature=2.5", "soft-pruned-int8"]
    assert found.cases["soft/temperature=2.5"].steps[0].spec.fields["temperature"] == 2.5
    assert str(found.fail(found.cases["soft/temperature=1"].place, "no.")).split(": ", 1)[1] == "cases.soft: no."


def test_several_grids_give_every_combination(tmp_path: Path) -> None:
    steps = [
        {"soft_distillation": {"temperature": {"grid": [1, 4]}, "recipe": {"grid": ["train", "long"]}}},
        {"static_quantization": {"method": {"grid": ["minmax", "entropy"]}}},
    ]
    found = suite(tmp_path, cases={"from-scratch": [], "x": steps})
    assert len(found.cases) == 1 + 2 * 2 * 2
    case = found.cases["x/temperature=4,recipe=long,method=entropy"]
    assert case.steps[0].spec.fields["temperature"] == 4
    assert case.steps[0].recipes == {"train": "long"}
    assert case.steps[1].spec.fields["method"] == "entropy"


def test_each_step_knows_the_recipes_it_trains_under(tmp_path: Path) -> None:
    soft, pruned, quantized = suite(tmp_path).cases["soft-pruned-int8"].steps
    assert soft.recipes == {"train": "train"}
    assert pruned.recipes == {"finetune": "finetune"}
    assert quantized.recipes == {}


def test_a_case_may_name_its_own_teacher_student_and_recipe(tmp_path: Path) -> None:
    own = {
        "teacher": {"model": "resnet20", "recipe": "train", "seed": 7, "per_seed": True},
        "student": {"model": "mlp"},
        "recipe": "long",
        "steps": ["soft_distillation", {"structured_pruning": {"channel_fraction": 0.5, "recipe": "train"}}],
    }
    case = suite(tmp_path, cases={"from-scratch": [], "own": own}).cases["own"]
    assert (case.student.model.name, case.student.recipe) == ("mlp", "long")
    (teacher,) = case.teachers
    assert (teacher.title, teacher.recipe, teacher.seed, teacher.per_seed) == ("resnet20", "train", 7, True)
    assert [step.recipes for step in case.steps] == [{"train": "long"}, {"finetune": "train"}]


def test_a_suite_without_teacher_may_prune_and_quantize(tmp_path: Path) -> None:
    data = {key: value for key, value in PLAIN.items() if key != "teacher"}
    cases = {"from-scratch": [], "int8": ["dynamic_quantization"]}
    found = written(tmp_path, {**data, "cases": cases})
    assert found.teachers == ()
    assert found.cases["int8"].teachers == ()


KINDS_OF_TEACHER = {
    "teacher": {"model": "resnet20"},
    "teachers": {
        "wide": {"model": {"cnn": {"channels": [64, 128]}}, "per_seed": True},
        "kept": {"model": "resnet20", "weights": "kept.safetensors"},
        "file": {"onnx": "big.onnx"},
    },
    "cases": {
        "from-scratch": [],
        "one": {"teacher": "file", "steps": ["soft_distillation"]},
        "many": {"teacher": ["wide", "kept", {"model": "mlp"}], "steps": ["soft_distillation"]},
        "again": {"teacher": {"case": "one"}, "steps": ["soft_distillation"]},
        "sparse": {"steps": [], "regularizer": {"penalty": "l1", "weight": 1e-5}},
    },
}


def test_a_teacher_is_trained_a_file_or_another_case_and_a_case_may_have_several(tmp_path: Path) -> None:
    cases = suite(tmp_path, **KINDS_OF_TEACHER).cases
    assert [choice.title for choice in cases["from-scratch"].teachers] == ["resnet20"]
    assert cases["one"].teachers[0].onnx == "big.onnx"
    wide, kept, third = cases["many"].teachers
    assert (wide.name, wide.per_seed, wide.recipe) == ("wide", True, "train")
    assert (kept.weights, kept.recipe) == ("kept.safetensors", "")
    assert (third.name, third.title) == ("", "mlp")
    assert cases["again"].teachers[0].case == "one"


def test_a_regularizer_makes_another_case_than_from_scratch(tmp_path: Path) -> None:
    cases = suite(tmp_path, **KINDS_OF_TEACHER).cases
    assert cases["from-scratch"].plain
    assert not cases["sparse"].plain
    assert cases["sparse"].regularizer is not None
    assert cases["sparse"].regularizer.penalty == "l1"


def test_a_technique_of_ones_own_stands_in_a_file_beside_the_suite(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pydantic import Field\n"
        "from kdbench.protocols import Technique\n"
        "class Shrink(Technique):\n"
        "    strength: float = Field(1.0, gt=0)\n"
        "    def apply(self, model, ctx): return model\n"
    )
    step = (
        suite(tmp_path, cases={"from-scratch": [], "mine": [{"mine.py:Shrink": {"strength": 2}}]})
        .cases["mine"]
        .steps[0]
    )
    assert step.spec.name == "mine.py:Shrink"
    assert step.spec.code is not None
    assert "class Shrink" in step.spec.code.files[0].text
    assert step.spec.build().strength == 2


@pytest.mark.parametrize(
    ("cases", "seeds", "expected_cases", "expected_seeds"),
    [
        ((), (), ["from-scratch", "soft/temperature=1", "soft/temperature=2.5", "soft-pruned-int8"], (0, 1, 12)),
        (("soft",), ("1",), ["from-scratch", "soft/temperature=1", "soft/temperature=2.5"], (1,)),
        (("soft/*=1",), ("1*",), ["from-scratch", "soft/temperature=1"], (1, 12)),
        (("*int8", "from-*"), (), ["from-scratch", "soft-pruned-int8"], (0, 1, 12)),
    ],
)
def test_globs_choose_cases_and_seeds_and_the_baseline_stays(
    tmp_path: Path, cases: Any, seeds: Any, expected_cases: list[str], expected_seeds: tuple[int, ...]
) -> None:
    found = select(suite(tmp_path), cases, seeds)
    assert (list(found.cases), found.seeds) == (expected_cases, expected_seeds)


def test_a_glob_that_matches_nothing_comes_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(
        SuiteError, match=r"^no case of this suite matches 'form-scratch'. Did you mean 'from-scratch'\?$"
    ):
        select(suite(tmp_path), ["form-scratch"])
    with pytest.raises(SuiteError, match=r"^no seed of this suite matches '7'. Known: 0, 1, 12.$"):
        select(suite(tmp_path), seeds=["7"])


UNCHECKED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@UNCHECKED
@given(st.permutations(list(PLAIN["cases"])))
def test_the_order_of_cases_changes_nothing_but_their_order(tmp_path: Path, order: list[str]) -> None:
    changed = suite(tmp_path, cases={name: PLAIN["cases"][name] for name in order})
    assert dict(changed.cases) == dict(suite(tmp_path).cases)
    assert [name.partition("/")[0] for name in dict.fromkeys(case.place[1] for case in changed.cases.values())] == order


def places(data: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key path in nested data."""
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    inner = [[(*place, key), *places(value, (*place, key))] for key, value in entries]
    return list(itertools.chain.from_iterable(inner))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("abc:.$~{}/ \n", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abgrid", max_size=5), inner, max_size=3),
    max_leaves=5,
)


@UNCHECKED
@given(st.sampled_from(places(PLAIN)), ANYTHING)
def test_any_value_anywhere_loads_or_is_a_suite_error(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    data = copy.deepcopy(PLAIN)
    inner: Any = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        written(tmp_path, data)
        complaints = []
    except SuiteError as error:
        complaints = str(error).split("\n")
    assert all(line.startswith(f"{tmp_path / 's.yaml'}:") for line in complaints)


@UNCHECKED
@given(
    st.sampled_from([place for place in places(PLAIN) if isinstance(place[-1], str)]), st.text("abcxyz_", min_size=1)
)
def test_a_key_nobody_knows_is_a_suite_error(tmp_path: Path, place: tuple[Any, ...], addition: str) -> None:
    free = {("recipes",), ("cases",)}  # under these the user chooses the names
    if place[:-1] in free:
        return
    data = copy.deepcopy(PLAIN)
    inner: Any = data
    for key in place[:-1]:
        inner = inner[key]
    inner[f"{place[-1]}{addition}"] = inner.pop(place[-1])
    with pytest.raises(SuiteError):
        written(tmp_path, data)


def test_long_values_of_a_grid_are_told_apart_in_the_names_of_their_cases(tmp_path: Path) -> None:
    long = ["x" * 70 + end for end in "ab"]
    wide = {"fitnet": {"student_layer": {"grid": long}, "teacher_layer": "layer1"}}
    names = [name for name in suite(tmp_path, cases={"from-scratch": [], "x": [wide]}).cases if name != "from-scratch"]
    assert len(names) == len(set(names)) == 2
    assert all(len(name) < 80 for name in names)
