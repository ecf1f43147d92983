"""Students and teachers of a part of a task, as a suite writes them."""

from pathlib import Path

import pytest

from kdbench.errors import SuiteError
from kdbench.suite.cases import Suite
from kdbench.suite.reader import load

SOFT = "soft_distillation"
SUITE = """
kdbench: 1
name: parts
task: digits
recipes: {{train: {{epochs: 1}}}}
teachers:
  words: {{model: cnn, inputs: [picture], outputs: [label]}}
  people: {{model: cnn, outputs: [speaker]}}
teacher: [words, people]
student: {student}
cases: {{from-scratch: [], taught: [{technique}]}}
measure: [{{provider: cpu}}]
"""


def suite(
    folder: Path, student: str = "{model: cnn, inputs: [samples]}", technique: str = "soft_distillation"
) -> Suite:
    path = folder / "s.yaml"
    path.write_text(SUITE.format(student=student, technique=technique))
    return load(path)


def test_what_each_takes_and_tells_is_read_and_tells_networks_apart(tmp_path: Path) -> None:
    found = suite(tmp_path)
    assert found.student.model is not None
    assert found.student.model.inputs == ("samples",)
    assert [(one.model.inputs, one.model.outputs) for one in found.teachers if one.model is not None] == [
        (("picture",), ("label",)),
        ((), ("speaker",)),
    ]
    assert found.student != suite(tmp_path, "{model: cnn}").student


@pytest.mark.parametrize(
    ("student", "technique", "said"),
    [
        (
            "{model: cnn}",
            "multi_teacher",
            "takes the mean of teachers that tell every output",
        ),
        (
            "{model: decision_tree, inputs: [samples]}",
            "soft_distillation",
            "decision_tree is no network, and takes every",
        ),
        ("{onnx: a.onnx, inputs: [samples]}", SOFT, "'inputs' belongs to a 'model'"),
        ("{model: cnn, outputs: [label]}", SOFT, "a student has no field 'outputs'"),
        ("{model: cnn, inputs: [samples, samples]}", SOFT, "samples is given twice"),
    ],
)
def test_parts_that_cannot_be_taken_are_refused(tmp_path: Path, student: str, technique: str, said: str) -> None:
    with pytest.raises(SuiteError) as error:
        suite(tmp_path, student, technique)
    assert said in str(error.value)
