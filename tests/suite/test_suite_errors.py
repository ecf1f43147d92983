"""What a user reads when a suite is wrong, word for word. Each row changes one thing in a suite that is right."""

import os
from pathlib import Path

import pytest

from kdbench import registry
from kdbench.errors import SuiteError
from kdbench.suite.reader import load

RIGHT = """\
kdbench: 1
name: s
task: digits
seeds: [0, 1]
recipes:
  train: {epochs: 20}
  finetune: {epochs: 5}
teacher: {model: {cnn: {channels: [32, 64]}}}
student: {model: cnn, recipe: train}
baseline: from-scratch
cases:
  from-scratch: []
  soft:
    - soft_distillation: {temperature: 2.0}
  chain:
    - soft_distillation
    - structured_pruning:
        channel_fraction: 0.3
    - static_quantization: {method: entropy}
measure:
  - {provider: cpu, threads: [1], batch_sizes: [1, 32]}
"""
TECHNIQUES = f"Known: {', '.join(sorted(registry.TABLE['technique']))}."


def message(text: str) -> str:
    Path("s.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError) as error:
        load("s.yaml")
    return str(error.value)


def changed(old: str, new: str) -> str:
    assert RIGHT.count(old) == 1, f"{old!r} must stand in the suite once"
    return RIGHT.replace(old, new)


@pytest.fixture(autouse=True)
def _beside_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SOFT = "s.yaml:14: cases.soft.0.soft_distillation"
TEMPERATURE = "{temperature: 2.0}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            TEMPERATURE,
            "{temprature: 2.0}",
            f"{SOFT}.temprature: soft_distillation has no field 'temprature'. Did you mean 'temperature'?",
        ),
        (TEMPERATURE, "{temperature: -2.0}", f"{SOFT}.temperature: must be > 0, got -2.0."),
        (TEMPERATURE, "{temperature: hot}", f"{SOFT}.temperature: must be a number, got 'hot'."),
        (TEMPERATURE, "{temperature: '2.0'}", f"{SOFT}.temperature: must be a number, got '2.0'."),
        (TEMPERATURE, "{temperature: .inf}", f"{SOFT}.temperature: must be a number, got '.inf'."),
        (TEMPERATURE, "{temperature: 1e999}", f"{SOFT}.temperature: this number is too large."),
        (TEMPERATURE, "{temperature: }", f"{SOFT}.temperature: must be a number, got nothing."),
        (TEMPERATURE, "{temperature: [2]}", f"{SOFT}.temperature: must be a number, got [2]."),
        (
            "channel_fraction: 0.3",
            "round_to: 8",
            "s.yaml:17: cases.chain.1.structured_pruning: give either channel_fraction or mac_fraction, to "
            "say how much is removed.",
        ),
        (
            "channel_fraction: 0.3",
            "channel_fraction: 1",
            "s.yaml:18: cases.chain.1.structured_pruning.channel_fraction: must be < 1, got 1.",
        ),
        (
            "method: entropy",
            "method: entrpy",
            "s.yaml:19: cases.chain.2.static_quantization.method: must be 'minmax', 'entropy' or 'percentile', "
            "got 'entrpy'.",
        ),
        (
            "method: entropy",
            "samples: 2.5",
            "s.yaml:19: cases.chain.2.static_quantization.samples: must be a whole number, got 2.5.",
        ),
        (
            "{channels: [32, 64]}",
            "{channels: [32, 0]}",
            "s.yaml:8: teacher.model.cnn.channels.1: must be > 0, got 0.",
        ),
        (
            "{channels: [32, 64]}",
            "{channels: 32}",
            "s.yaml:8: teacher.model.cnn.channels: must be a list, got 32.",
        ),
        (
            "{channels: [32, 64]}",
            "{channels: [32], strides: [1, 2]}",
            "s.yaml:8: teacher.model.cnn: strides needs one number a stage (1), got 2.",
        ),
        (
            "{epochs: 20}",
            "{epoch: 20}",
            "s.yaml:6: recipes.train: a recipe needs the field 'epochs'.\n"
            "s.yaml:6: recipes.train.epoch: a recipe has no field 'epoch'. Did you mean 'epochs'?",
        ),
        (
            "{epochs: 20}",
            "{epochs: 20, nesterov: yes}",
            "s.yaml:6: recipes.train.nesterov: must be true or false, got 'yes'.",
        ),
        (
            "{epochs: 20}",
            "{epochs: 20, steps_down: [15, 10]}",
            "s.yaml:6: recipes.train: steps_down must rise, got [15, 10].",
        ),
        ("{epochs: 20}", "20", "s.yaml:6: recipes.train: must be a mapping, got 20."),
    ],
)
def test_a_wrong_field_is_named_with_its_line_and_what_would_be_right(old: str, new: str, expected: str) -> None:
    assert message(changed(old, new)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "- soft_distillation\n",
            "- soft_distilation\n",
            "s.yaml:16: cases.chain.0: there is no technique 'soft_distilation'. Did you mean 'soft_distillation'?",
        ),
        (
            "- soft_distillation\n",
            "- pixie_dust\n",
            f"s.yaml:16: cases.chain.0: there is no technique 'pixie_dust'. {TECHNIQUES}",
        ),
        ("task: digits", "task: digit", "s.yaml:3: task: there is no task 'digit'. Did you mean 'digits'?"),
        (
            "model: cnn, recipe",
            "model: resnet202, recipe",
            "s.yaml:9: student.model: there is no model 'resnet202'. Did you mean 'resnet20'?",
        ),
        (
            "recipe: train}",
            "recipe: trian}",
            "s.yaml:9: student.recipe: there is no recipe 'trian'. Did you mean 'train'?",
        ),
        (
            "baseline: from-scratch",
            "baseline: from-scrach",
            "s.yaml:10: baseline: there is no case 'from-scrach' to compare with. Did you mean 'from-scratch'?",
        ),
        (
            "provider: cpu",
            "provider: cudda",
            "s.yaml:21: measure.0.provider: there is no provider 'cudda'. Did you mean 'cuda'?",
        ),
        (
            TEMPERATURE,
            "{recipe: finetunes}",
            f"{SOFT}.recipe: there is no recipe 'finetunes'. Did you mean 'finetune'?",
        ),
        (
            "name: s",
            "name: s\nstudnet: cnn",
            "s.yaml:3: studnet: a suite has no field 'studnet'. Did you mean 'student'?",
        ),
        (
            "- soft_distillation\n",
            "- mine.py:Mine\n",
            "s.yaml:16: cases.chain.0: cannot read 'mine.py' (No such file or directory); "
            "it is looked up beside the suite file.",
        ),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_known_one(old: str, new: str, expected: str) -> None:
    assert message(changed(old, new)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "    - soft_distillation\n    - structured_pruning:\n        channel_fraction: 0.3\n"
            "    - static_quantization: {method: entropy}",
            "    - static_quantization\n    - structured_pruning: {channel_fraction: 0.3}",
            "s.yaml:17: cases.chain.1: structured_pruning works on a torch model but static_quantization before it "
            "gives ONNX; move it up.",
        ),
        (
            "    - static_quantization: {method: entropy}",
            "    - static_quantization: {method: entropy}\n    - litert_quantization",
            "s.yaml:20: cases.chain.3: litert_quantization makes litert's file of the network, in which nothing of "
            "static_quantization before it is; leave one of the two out.",
        ),
        (
            "    - static_quantization: {method: entropy}",
            "    - litert_quantization\n    - static_quantization: {method: entropy}",
            "s.yaml:19: cases.chain.2: litert_quantization makes the file of litert itself; put it last.",
        ),
        (
            "teacher: {model: {cnn: {channels: [32, 64]}}}\n",
            "",
            "s.yaml:13: cases.soft.0: soft_distillation needs a teacher, and the suite has none; add 'teacher'.\n"
            "s.yaml:15: cases.chain.0: soft_distillation needs a teacher, and the suite has none; add 'teacher'.",
        ),
        (
            "  finetune: {epochs: 5}\n",
            "",
            "s.yaml:16: cases.chain.1: structured_pruning trains under a recipe named 'finetune', and the suite has "
            "only train; add it to 'recipes', or name another with the step's field 'recipe'.",
        ),
        (
            "{method: entropy}",
            "{recipe: train}",
            "s.yaml:19: cases.chain.2.static_quantization.recipe: static_quantization trains nothing; "
            "leave 'recipe' out.",
        ),
        (
            "  soft:\n",
            "  teacher:\n",
            "s.yaml:13: cases.teacher: the name 'teacher' is reserved for the teacher's own rows; choose another.",
        ),
        (
            "  from-scratch: []\n",
            "  from-scratch: []\n  soft: [hard_distillation]\n",
            "s.yaml:14: cases.soft is given twice (first at line 13).",
        ),
        (
            "    - soft_distillation: {temperature: 2.0}",
            "    - soft_distillation:\n      temperature: 2.0",
            "s.yaml:14: cases.soft.0: a technique is a name, or one {name: {fields}}; "
            'got {"soft_distillation": null, "temperature": 2.0}.',
        ),
        (
            "  from-scratch: []",
            "  from-scratch: none",
            "s.yaml:12: cases.from-scratch: a case is a list of steps, or a mapping with 'steps'; got 'none'.",
        ),
        (
            "  from-scratch: []",
            "  from-scratch: {steps: [], students: cnn}",
            "s.yaml:12: cases.from-scratch.students: a case has no field 'students'. Did you mean 'student'?",
        ),
        (
            "  soft:\n",
            "  a/b:\n",
            "s.yaml:13: cases.a/b: 'a/b' cannot be a name: letters, digits and . _ + - only, "
            "the first a letter or digit.",
        ),
        ("seeds: [0, 1]", "seeds: [0, 1, 0]", "s.yaml:4: seeds: 0 is given twice."),
        ("seeds: [0, 1]", "seeds: []", "s.yaml:4: seeds: must be at least 1 long, got []."),
        ("seeds: [0, 1]", "seeds: [-1]", "s.yaml:4: seeds.0: must be >= 0, got -1."),
        ("seeds: [0, 1]", "seeds: 3", "s.yaml:4: seeds: must be a list, got 3."),
        ("kdbench: 1", "kdbench: 2", "s.yaml:1: kdbench: this kdbench reads suites of version 1, got 2."),
        ("kdbench: 1\n", "", "s.yaml:1: a suite needs the field 'kdbench'."),
        ("batch_sizes: [1, 32]", "batch_sizes: [0]", "s.yaml:21: measure.0.batch_sizes.0: must be > 0, got 0."),
        ("threads: [1]", "threads: [1, 1]", "s.yaml:21: measure.0.threads: 1 is given twice."),
        ("threads: [1]", "processes: 2", "s.yaml:21: measure.0.processes: must be >= 3, got 2."),
        (
            "threads: [1]",
            "precisions: [fp8]",
            "s.yaml:21: measure.0.precisions: provider cpu offers precision fp32, got 'fp8'.",
        ),
        (
            "batch_sizes: [1, 32]",
            "lengths: [16]",
            "s.yaml:21: measure.0.lengths: no axis of the task's inputs varies in length, so there are no lengths to "
            "time at; leave them out.",
        ),
    ],
)
def test_what_does_not_fit_together_is_one_sentence(old: str, new: str, expected: str) -> None:
    assert message(changed(old, new)) == expected


def test_nothing_is_selected_on_validation_where_there_is_no_validation_split() -> None:
    text = changed("task: digits", "task: {image_folder: {root: x, image_size: 8, validation_fraction: 0}}")
    assert message(text.replace("{epochs: 20}", "{epochs: 20, select: validation}")) == (
        "s.yaml:6: recipes.train: with validation_fraction 0 nothing can be selected on validation; raise it, or "
        "leave out select, stop_at and patience."
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            TEMPERATURE,
            "{temperature: {grid: 2}}",
            SOFT + '.temperature: a grid is {grid: [value, value, ...]}; got {"grid": 2}.',
        ),
        (
            TEMPERATURE,
            "{temperature: {grid: []}}",
            SOFT + '.temperature: a grid is {grid: [value, value, ...]}; got {"grid": []}.',
        ),
        (TEMPERATURE, "{temperature: {grid: [2, -1]}}", f"{SOFT}.temperature: must be > 0, got -1."),
        (
            TEMPERATURE,
            "{temperature: {grid: [2, 2]}}",
            "s.yaml:13: cases.soft: the grid gives 'soft/temperature=2' twice; write each value once.",
        ),
        (
            "{epochs: 20}",
            "{epochs: {grid: [1, 2]}}",
            "s.yaml:6: recipes.train.epochs: a grid belongs to a field of a case's step; it cannot stand here.",
        ),
        (
            "[32, 64]",
            "{grid: [[16], [32]]}",
            "s.yaml:8: teacher.model.cnn.channels: a grid belongs to a field of a case's step; it cannot stand here.",
        ),
    ],
)
def test_a_grid_is_a_list_of_values_for_a_field_of_a_step(old: str, new: str, expected: str) -> None:
    assert message(changed(old, new)) == expected


TEACHER = "{model: {cnn: {channels: [32, 64]}}}"
SOFT_STEPS = "\n    - soft_distillation: {temperature: 2.0}\n"
KINDS = "a teacher is one of 'model', 'onnx' and 'case'"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("{recipe: train}", f"teacher: {KINDS}."),
        ("{model: cnn, onnx: big.onnx}", f"teacher: {KINDS}, got ['model', 'onnx']."),
        ("{onnx: big.onnx, seed: 3}", "teacher: 'seed' belongs to a teacher that is trained here; leave it out."),
        (
            "{model: cnn, weights: w.pt, recipe: train}",
            "teacher: 'recipe' belongs to a teacher that is trained here; leave it out.",
        ),
        ("big", "teacher: there is no teacher 'big' in 'teachers'. None is known."),
        ("[]", "teacher: an empty list has no teacher; name one, or leave 'teacher' out."),
        ("[cnn]", "teacher.0: there is no teacher 'cnn' in 'teachers'. None is known."),
    ],
)
def test_a_teacher_that_cannot_be(new: str, expected: str) -> None:
    assert f"s.yaml:8: {expected}" in message(changed(TEACHER, new)).splitlines()


@pytest.mark.parametrize(
    ("teacher", "expected"),
    [
        ("{case: hard}", "there is no case 'hard' to learn from. Known: chain, from-scratch, soft."),
        ("{case: soft}", "'soft' would learn from itself; name another case."),
        ("{case: chain}", "'chain' ends in a file (static_quantization), which cannot teach; name one without."),
    ],
)
def test_a_case_that_cannot_teach(teacher: str, expected: str) -> None:
    text = changed(SOFT_STEPS, f" {{teacher: {teacher}, steps: [soft_distillation]}}\n")
    assert expected in message(text)


def test_an_onnx_teacher_gives_outputs_only() -> None:
    text = changed(TEACHER, "{onnx: big.onnx}").replace(SOFT_STEPS, " [fitnet]\n")
    found = "cases.soft.0: fitnet needs the teacher's network, and an ONNX file gives outputs only; name a model."
    assert found in message(text)


def test_several_teachers_are_several() -> None:
    text = changed("soft_distillation: {temperature: 2.0}", "multi_teacher")
    found = "cases.soft.0: multi_teacher learns from 2 teachers or more, and the case names one; give 'teacher' a list."
    assert found in message(text)


def test_a_regularizer_is_checked_where_it_stands() -> None:
    text = changed(SOFT_STEPS, " {steps: [], regularizer: {penalty: l3, weight: 1}}\n")
    assert "cases.soft.regularizer.penalty: must be 'l1' or 'group', got 'l3'." in message(text)


def test_everything_wrong_is_reported_at_once() -> None:
    text = changed("temperature: 2.0", "temperature: 0").replace("provider: cpu", "provider: gpu")
    lines = message(text.replace("epochs: 5", "epochs: none")).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "recipes.finetune.epochs",
        "cases.soft.0.soft_distillation.temperature",
        "measure.0.provider",
    ]


def test_an_unset_variable_is_named_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDBENCH_NOWHERE", raising=False)
    text = changed("task: digits", 'task: {image_folder: {root: "${KDBENCH_NOWHERE}/x", image_size: 8}}')
    assert message(text) == (
        "s.yaml:3: task.image_folder.root: the environment variable KDBENCH_NOWHERE is not set; "
        "export KDBENCH_NOWHERE=... first."
    )


def test_a_class_that_is_no_technique_is_refused() -> None:
    Path("mine.py").write_text("class Mine: pass\n")
    assert message(changed("- soft_distillation\n", "- mine.py:Mine\n")) == (
        "s.yaml:16: cases.chain.0: mine.py:Mine is no technique: it does not derive from kdbench's Technique."
    )


def test_what_cannot_be_read_at_all_hides_no_other_mistake() -> None:
    text = changed("seeds: [0, 1]", "seeds: 3").replace("task: digits", "task: digit")
    text = text.replace("  - {provider: cpu, threads: [1], batch_sizes: [1, 32]}\n", "").replace(
        "measure:", "measure: cpu"
    )
    text = text.replace("{epochs: 5}", "{epochs: 0}").replace("[32, 64]", "[0]").replace(TEMPERATURE, "{temp: 1}")
    assert [line.split(": ")[1] for line in message(text).splitlines()] == [
        "task",
        "seeds",
        "recipes.finetune.epochs",
        "teacher.model.cnn.channels.0",
        "cases.soft.0.soft_distillation.temp",
        "measure",
    ]


def test_a_wrong_student_hides_no_wrong_step_and_is_told_once() -> None:
    text = changed("student: {model: cnn", "student: {model: cnnn").replace(TEMPERATURE, "{temp: 1}")
    assert [line.split(": ")[1] for line in message(text).splitlines()] == [
        "student.model",
        "cases.soft.0.soft_distillation.temp",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{epochs: 20}", "{epochs: 20, learning_rate: 0,001}", "recipes.train.learning_rate: a comma ends a value"),
        ("{epochs: 20}", "{epochs: 20, learning_rate: 0,001}", "write 0.001."),
        ("{epochs: 20}", "\n    epochs: 20\n    learning_rate: 0,001", "must be a number, got '0,001'; write 0.001."),
    ],
)
def test_a_decimal_comma_is_told_as_what_it_is(old: str, new: str, expected: str) -> None:
    assert expected in message(changed(old, new))


def test_a_name_that_file_names_cannot_hold_is_refused_up_front() -> None:
    said = message(changed("  soft:\n", f"  {'x' * 300}:\n"))
    assert said.startswith("s.yaml:13: cases.")
    assert "at most 60 characters" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class Mine(Technique): pass", "Mine has no apply(self, model, ctx), which every Technique needs."),
        ("class Mine(Technique):\n  def apply(self, model): pass", "Mine.apply must take (self, model, ctx)"),
        (
            "class Mine(Technique):\n  start = 'nonsense'\n  def apply(self, model, ctx): pass",
            "Mine.start must be 'fresh', 'trained' or 'pretrained', got 'nonsense'.",
        ),
        (
            "class Mine(Technique):\n  needs = {'techer'}\n  def apply(self, model, ctx): pass",
            "Mine.needs has 'techer', which nothing provides. Did you mean 'teacher'?",
        ),
    ],
)
def test_a_class_that_cannot_work_is_refused_before_anything_runs(text: str, expected: str) -> None:
    Path("mine.py").write_text(f"from kdbench.protocols import Technique\n{text}\n")
    assert f"s.yaml:16: cases.chain.0: {expected}" in message(changed("- soft_distillation\n", "- mine.py:Mine\n"))


def test_milestones_count_from_the_first_epoch() -> None:
    expected = "s.yaml:6: recipes.train: steps_down counts epochs from 1, got [-1]."
    assert message(changed("{epochs: 20}", "{epochs: 20, steps_down: [-1]}")) == expected


def test_a_case_is_compared_with_one_that_exists() -> None:
    steps = "\n    - soft_distillation: {temperature: 2.0}\n"
    said = message(changed(steps, " {steps: [soft_distillation], compare_with: chian}\n"))
    assert said == "s.yaml:13: cases.soft.compare_with: there is no case 'chian' to compare with. Did you mean 'chain'?"


def test_a_suite_that_means_more_than_anybody_waits_for_is_refused_before_it_is_planned() -> None:
    grid = ", ".join(map(str, range(1, 202)))
    text = changed(TEMPERATURE, f"{{temperature: {{grid: [{grid}]}}, kd_weight: {{grid: [{grid}]}}}}")
    assert "cases.soft: its grids mean 40,401 cases, and a suite may have 10,000" in message(text)
    threads = ", ".join(map(str, range(1, 4001)))
    said = message(changed("threads: [1]", f"threads: [{threads}]").replace("[0, 1]", f"[{grid}]"))
    assert "3 cases x 201 seeds x 4,000 targets (threads x precisions) are 2,412,000 rows" in said


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SuiteError, match="give a regular file"):
        load(tmp_path / "pipe")


def test_faults_of_yaml_and_of_the_suite_are_told_together() -> None:
    text = changed("seeds: [0, 1]\n", "seeds: 3\nseeds: [0]\n").replace("temperature", "temprature")
    assert [line.split(":")[1:3] for line in message(text).splitlines()] == [
        ["4", " seeds"],
        ["5", " seeds is given twice (first at line 4)."],
        ["15", " cases.soft.0.soft_distillation.temprature"],
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("sys.exit(0)", "the code ended the program with sys.exit(0); a part returns or raises an error."),
        ("{}['x']", "KeyError: 'x'"),
    ],
)
def test_what_a_validator_of_the_users_does_is_one_sentence_with_its_line(body: str, expected: str) -> None:
    lines = ["import sys", "from pydantic import model_validator", "from kdbench.protocols import Technique"]
    lines += ["class Mine(Technique):", "    @model_validator(mode='after')", "    def ends(self):", f"        {body}"]
    Path("mine.py").write_text("\n".join([*lines, "    def apply(self, model, ctx):", "        return model"]))
    said = message(changed("- soft_distillation\n", "- mine.py:Mine\n").replace("temperature", "temprature"))
    assert said.splitlines()[1] == f"s.yaml:16: cases.chain.0.mine.py:Mine: mine.py:7: {expected}"
    assert said.splitlines()[0].startswith("s.yaml:14: cases.soft.0.soft_distillation.temprature: ")
