"""A key changes with everything that changes the numbers, and with nothing else; whatever loads can be planned."""

import dataclasses
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.plan.rows import make_plan
from kdbench.protocols.part import PartSpec
from kdbench.stages.spec import StageSpec, digest
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine
from kdbench.user_files import UserCode, UserFile

names = st.text(string.ascii_lowercase, min_size=1, max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | names
)
fields = st.dictionaries(names, scalars | st.lists(scalars, max_size=3), max_size=4)
parts = st.builds(PartSpec, kind=st.just("technique"), name=names, version=st.integers(1, 9), fields=fields)
specs = st.builds(
    StageSpec,
    kind=names,
    version=st.integers(1, 9),
    parts=st.dictionaries(names, parts, max_size=3),
    inputs=st.dictionaries(names, names, max_size=3),
    seed=st.none() | st.integers(0, 99),
    settings=fields,
    numerics=fields,
)


@given(one=specs, two=specs)
def test_two_specs_share_a_key_only_when_they_are_equal(one: StageSpec, two: StageSpec) -> None:
    same = digest(dataclasses.asdict(one)) == digest(dataclasses.asdict(two))
    assert (one.key == two.key) == same


@given(spec=specs)
def test_a_key_survives_json_and_the_order_of_fields(spec: StageSpec) -> None:
    assert StageSpec.from_json(spec.to_json()).key == spec.key
    turned = dataclasses.replace(
        spec,
        parts=dict(reversed(spec.parts.items())),
        inputs=dict(reversed(spec.inputs.items())),
        settings=dict(reversed(spec.settings.items())),
    )
    assert turned.key == spec.key


@pytest.mark.parametrize("change", ["kind", "version", "parts", "inputs", "seed", "settings", "numerics"])
def test_every_part_of_a_spec_is_in_its_key(change: str) -> None:
    part = PartSpec("technique", "soft", 1, {"temperature": 4.0})
    spec = StageSpec("train", 1, {"technique": part}, {"data": "a"}, 0, {"epochs": 1}, {"torch": "2.11"})
    others = {
        "kind": "teach",
        "version": 2,
        "parts": {"technique": dataclasses.replace(part, version=2)},
        "inputs": {"data": "b"},
        "seed": 1,
        "settings": {"epochs": 2},
        "numerics": {"torch": "2.15"},
    }
    assert dataclasses.replace(spec, **{change: others[change]}).key != spec.key


def test_the_source_of_a_users_file_is_in_the_key_and_its_place_is_not() -> None:
    def carried(path: str, text: str) -> PartSpec:
        return PartSpec("technique", f"{path}:Mine", 1, {}, UserCode((UserFile("mine", path, text),)))

    here = carried("mine.py", "class Mine: pass")
    elsewhere = carried("/some/where/mine.py", "class Mine: pass")
    edited = carried("mine.py", "class Mine: '''edited'''")
    assert here.identity() == elsewhere.identity()
    assert here.identity() != edited.identity()


STEPS = {
    "soft_distillation": st.fixed_dictionaries({"temperature": st.floats(0.5, 20)}),
    "hard_distillation": st.just({}),
    "structured_pruning": st.fixed_dictionaries({"channel_fraction": st.floats(0.1, 0.9)}),
    "unstructured_pruning": st.fixed_dictionaries({"weight_fraction": st.floats(0.1, 0.9)}),
    "static_quantization": st.fixed_dictionaries({"samples": st.integers(1, 500)}),
}
ORDER = list(STEPS)
chains = st.lists(st.sampled_from(ORDER), unique=True, max_size=4).map(lambda names: sorted(names, key=ORDER.index))


@st.composite
def suites(draw: st.DrawFn) -> str:
    lines = [
        "kdbench: 1",
        "name: s",
        "task: digits",
        f"seeds: {draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))}",
    ]
    lines += ["recipes: {train: {epochs: 2}, finetune: {epochs: 1}}", "teacher: {model: cnn}", "student: {model: mlp}"]
    lines += ["cases:", "  from-scratch: []"]
    for number, chain in enumerate(draw(st.lists(chains, max_size=4))):
        lines.append(
            f"  case{number}: [{', '.join(f'{name}: {draw(STEPS[name])}' for name in chain)}]".replace("'", "")
        )
    return "\n".join([*lines, "measure: [{provider: cpu}]"])


RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16}


@settings(deadline=None, max_examples=50)
@given(text=suites())
def test_a_suite_that_loads_also_plans(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("suite") / "s.yaml"
    path.write_text(text)
    plan = make_plan(load(path), Machine("cpu", "x86_64", {None: RUNTIME}))
    assert {label.case for label in plan.labels} == {*plan.suite.cases, "teacher"}
    assert {key for label in plan.labels for key in plan.lineage(label.key)} <= plan.stages.keys()
