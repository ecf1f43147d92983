"""A suite a person: the same cases on a part of the data each, taught by a teacher of everybody."""

import wave
from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import SuiteError
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.suite.people import of_groups
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1", "fingerprint": "f" * 32, "facts": {}, "also": {}}
MACHINE = Machine("cpu", "x86_64", {None: RUNTIME})
SUITE = """
kdbench: 1
name: people
about: Someone for each.
{split}
task: {{audio_folder: {{root: {root}, pattern: "{{label}}_{{speaker}}_{{index}}", hold_out: {{index: ["0", "1"]}},
  sample_rate: 4000, features: {{fft: 64, window: 64, hop: 32}}{more}}}}}
recipes: {{train: {{epochs: 1}}}}
teacher: {{model: {{audio_cnn: {{channels: [8]}}}}}}
student: {{model: {{audio_cnn: {{channels: [4]}}}}}}
cases: {{from-scratch: [], soft: [soft_distillation]}}
measure: [{{provider: cpu}}]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough recordings of ann and ben, of cid two to test on and none to learn from but one."""
    root = tmp_path_factory.mktemp("people")
    for speaker, count in (("ann", 8), ("ben", 8), ("cid", 3)):
        for label in ("no", "oh", "yes"):
            for index in range(count):
                with wave.open(str(root / f"{label}_{speaker}_{index}.wav"), "wb") as file:
                    file.setparams((1, 2, 4000, 0, "NONE", ""))
                    file.writeframes(np.zeros(400, "<i2").tobytes())
    return root


def written(root: Path, folder: Path, split: str = "split_by: {speaker: [ann, ben]}", more: str = "") -> Path:
    path = folder / "people.yaml"
    path.write_text(SUITE.format(root=root, split=split, more=more))
    return path


@pytest.fixture
def plans(root: Path, tmp_path: Path) -> dict[str, Plan]:
    return {one.group: make_plan(one, MACHINE) for one in of_groups(load(written(root, tmp_path)))}


def test_each_group_is_a_suite_of_its_own(root: Path, tmp_path: Path) -> None:
    ann, ben = of_groups(load(written(root, tmp_path)))
    assert [(one.name, one.group) for one in (ann, ben)] == [("people-ann", "ann"), ("people-ben", "ben")]
    assert ann.task.fields["only"] == {"speaker": ["ann"]}
    assert ann.about == "Someone for each. (speaker ann)"
    whole = load(written(root, tmp_path, split=""))
    assert of_groups(whole) == [whole]


def test_all_learn_from_one_teacher_of_everybody_and_else_share_nothing(plans: dict[str, Plan]) -> None:
    def of(group: str, kind: str) -> dict[str, str]:
        return {key: spec.inputs.get("data", "") for key, spec in plans[group].stages.items() if spec.kind == kind}

    teachers = of("ann", "train").keys() & of("ben", "train").keys()
    assert len(teachers) == 1
    (teacher,) = teachers
    everybody = plans["ann"].stages[of("ann", "train")[teacher]].parts["task"]
    assert everybody.fields["only"] == {}
    for kind in ("teach", "compress", "export", "evaluate", "measure"):
        assert not of("ann", kind).keys() & of("ben", kind).keys()
        assert len(set(of("ann", kind).values())) == 1, "the group's own data"
    first = next(spec for spec in plans["ben"].stages.values() if spec.kind == "decode")
    assert first.parts["task"].fields["only"] == {"speaker": ["ben"]}, "what the results are about"


@pytest.mark.parametrize(
    ("split", "more", "said"),
    [
        ("split_by: {speaker: [ann]}", "", "split_by.speaker: groups to compare are two or more, and this is 1"),
        ("split_by: {speaker: [ann, ann]}", "", "ann is given twice"),
        ("split_by: {speaker: [ann, ben], label: [no, yes]}", "", "speaker, label are 2; choose one"),
        ("split_by: {speaker: [ann, ben]}", ", only: {label: [no]}", "by its own field 'only' already"),
        ("split_by: {speaker: [ann, a/b]}", "", "cannot be a name"),
    ],
)
def test_splits_that_mean_nothing_are_refused_at_their_line(
    root: Path, tmp_path: Path, split: str, more: str, said: str
) -> None:
    with pytest.raises(SuiteError) as error:
        load(written(root, tmp_path, split, more))
    assert f"people.yaml:{5}: split_by" in str(error.value)
    assert said in str(error.value)


def test_a_task_without_groups_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    text = SUITE.format(root="x", split="split_by: {speaker: [ann, ben]}", more="")
    start, end = text.index("task:"), text.index("recipes:")
    path.write_text(text[:start] + "task: digits\n" + text[end:])
    with pytest.raises(SuiteError, match="digits cannot keep one group's examples: it has no field 'only'"):
        load(path)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("cid", "split_by: speaker cid: 3 in the train split, and at least 5 examples are needed"),
        ("bem", "split_by: no example has speaker 'bem'. Did you mean 'ben'?"),
    ],
)
def test_a_group_too_small_to_learn_from_is_refused(root: Path, tmp_path: Path, group: str, said: str) -> None:
    suites = of_groups(load(written(root, tmp_path, f"split_by: {{speaker: [ann, {group}]}}")))
    with pytest.raises(SuiteError) as error:
        make_plan(suites[1], MACHINE)
    assert said in str(error.value)
