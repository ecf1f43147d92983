"""What is shared is planned once; a key depends on everything that changes the numbers and on nothing else."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench import registry
from kdbench.errors import SuiteError
from kdbench.plan.plan import Label, Plan
from kdbench.plan.rows import make_plan
from kdbench.stages.spec import StageSpec
from kdbench.suite.reader import load
from kdbench.suite.selection import select
from kdbench.timing.machine import Machine

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}
MACHINE = Machine("cpu", "x86_64", {None: RUNTIME})
SUITE = """
kdbench: 1
name: s
task: digits
seeds: [0, 1, 2]
recipes:
  train: {epochs: 2, learning_rate: 0.05}
  finetune: {epochs: 1, learning_rate: 0.01}
teacher: {model: {cnn: {channels: [32, 64]}}, recipe: train}
student: {model: {cnn: {channels: [16, 32]}}, recipe: train}
cases:
  from-scratch: []
  soft: [soft_distillation: {temperature: 4}]
  hot: [soft_distillation: {temperature: 8}]
  pruned: [structured_pruning: {channel_fraction: 0.5}]
  int8: [static_quantization]
  chain: [{soft_distillation: {temperature: 4}}, {structured_pruning: {channel_fraction: 0.5}}, static_quantization]
measure:
  - {provider: cpu, threads: [1, 2], batch_sizes: [1]}
"""

Planner = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planner:
    def make(*changes: tuple[str, str], machine: Machine = MACHINE) -> Plan:
        text = SUITE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "s.yaml"
        path.write_text(text)
        return make_plan(load(path), machine)

    return make


def kinds(plan: Plan) -> Counter[str]:
    return Counter(spec.kind for spec in plan.stages.values())


def keys(plan: Plan, kind: str) -> set[str]:
    return {key for key, spec in plan.stages.items() if spec.kind == kind}


def rows(plan: Plan, case: str) -> set[str]:
    return {label.key for label in plan.labels if label.case == case}


def test_equal_work_is_planned_once(planned: Planner) -> None:
    plan = planned()
    # 1 teacher + 3 students; a teacher without views is asked once for all seeds and techniques
    assert kinds(plan)["decode"] == kinds(plan)["teach"] == 1
    assert kinds(plan)["train"] == 4
    # soft, hot, pruned: 3 each; int8: 3, the same file for both thread counts; chain: soft's own, then 3 + 3
    assert kinds(plan)["compress"] == 3 + 3 + 3 + 3 + 6
    assert kinds(plan)["export"] == 1 + 3 + 3 + 3 + 3 + 3
    assert kinds(plan)["evaluate"] == kinds(plan)["measure"] == 2 * (1 + 3 * 6)


def test_every_stage_comes_after_its_inputs(planned: Planner) -> None:
    plan = planned()
    seen: set[str] = set()
    for key, spec in plan.stages.items():
        assert set(spec.inputs.values()) <= seen
        seen.add(key)


def test_a_stage_never_knows_whose_row_it_feeds(planned: Planner) -> None:
    plan = planned()
    renamed = planned(("  soft:", "  distilled:"), ("name: s", "name: other"))
    assert renamed.stages.keys() == plan.stages.keys()


def test_the_order_of_cases_changes_no_key(planned: Planner) -> None:
    pruned, int8 = "  pruned: [structured_pruning: {channel_fraction: 0.5}]\n", "  int8: [static_quantization]\n"
    swapped = planned((pruned + int8, int8 + pruned))
    assert swapped.stages.keys() == planned().stages.keys()


def test_adding_a_case_or_a_seed_recomputes_nothing(planned: Planner) -> None:
    plan = planned()
    more = planned(
        ("  hot:", "  hotter: [soft_distillation: {temperature: 16}]\n  hot:"), ("[0, 1, 2]", "[0, 1, 2, 3]")
    )
    assert plan.stages.keys() < more.stages.keys()


@pytest.mark.parametrize(
    ("change", "unchanged", "changed"),
    [
        (("temperature: 8", "temperature: 9"), ["from-scratch", "soft", "chain"], ["hot"]),
        (("epochs: 1,", "epochs: 3,"), ["from-scratch", "soft"], ["pruned", "chain"]),
        (("epochs: 2,", "epochs: 3,"), [], ["from-scratch", "soft", "pruned", "teacher"]),
        (("[32, 64]", "[32, 128]"), [], ["soft", "teacher"]),
    ],
)
def test_a_field_changes_the_rows_that_rest_on_it(
    planned: Planner, change: tuple[str, str], unchanged: list[str], changed: list[str]
) -> None:
    plan, other = planned(), planned(change)

    def trained(made: Plan, case: str) -> set[str]:
        """Keys of the finished torch models, one a seed."""
        last = {label.seed: label.key for label in made.labels if label.case == case and label.target is None}
        return set(last.values())

    for case in unchanged:
        assert trained(other, case) == trained(plan, case)
    for case in changed:
        assert trained(other, case).isdisjoint(trained(plan, case))


def test_what_changes_the_numbers_is_in_the_key(planned: Planner) -> None:
    plan = planned()
    gpu = planned(machine=Machine("cuda", "x86_64", {None: RUNTIME}))
    assert keys(gpu, "train").isdisjoint(keys(plan, "train"))
    newer = planned(machine=Machine("cpu", "x86_64", {None: {**RUNTIME, "runtime_version": "1.31.0"}}))
    assert keys(newer, "export") == keys(plan, "export")
    assert keys(newer, "evaluate").isdisjoint(keys(plan, "evaluate"))
    elsewhere = planned(machine=Machine("cpu", "x86_64", {None: {**RUNTIME, "fingerprint": "0" * 16}}))
    assert keys(elsewhere, "evaluate") == keys(plan, "evaluate")
    assert keys(elsewhere, "measure").isdisjoint(keys(plan, "measure"))


def test_quantization_follows_the_processor_it_will_run_on(planned: Planner) -> None:
    def activations(machine: str) -> set[str]:
        plan = planned(machine=Machine("cpu", machine, {None: RUNTIME}))
        parts = [spec.parts["technique"] for spec in plan.stages.values() if "technique" in spec.parts]
        return {part.fields["activation_type"] for part in parts if part.name == "static_quantization"}

    assert activations("x86_64") == {"uint8"}
    assert activations("aarch64") == {"int8"}


def test_the_teacher_has_rows_of_its_own(planned: Planner) -> None:
    plan = planned()
    assert {(label.seed, label.target) for label in plan.labels if label.case == "teacher"} == {
        (0, None),
        (0, "local-cpu-1t-fp32"),
        (0, "local-cpu-2t-fp32"),
    }
    each = planned(("recipe: train}\nstudent", "recipe: train, per_seed: true}\nstudent"))
    assert {label.seed for label in each.labels if label.case == "teacher"} == {0, 1, 2}
    assert kinds(each)["teach"] == 3


def test_another_student_is_compared_with_itself_from_scratch(planned: Planner) -> None:
    other = "  other: {student: {model: mlp, recipe: train}, steps: [soft_distillation]}\n  hot:"
    plan = planned(("  hot:", other))
    assert plan.references["other"] == "other/from-scratch"
    assert plan.references["soft"] == "from-scratch"
    assert rows(plan, "other/from-scratch")


def test_a_plain_case_of_that_student_serves_as_its_baseline(planned: Planner) -> None:
    student = "student: {model: mlp, recipe: train}"
    added = f"  other: {{{student}, steps: [soft_distillation]}}\n  plain-mlp: {{{student}, steps: []}}\n  hot:"
    plan = planned(("  hot:", added))
    assert plan.references["other"] == plan.references["plain-mlp"] == "plain-mlp"
    assert not rows(plan, "other/from-scratch")


def evaluations(plan: Plan, case: str) -> list[StageSpec]:
    """The evaluations of the first seed's file on each target."""
    labels = [label for label in plan.labels if label.case == case and label.seed == 0]
    return [plan.stages[label.key] for label in labels if plan.stages[label.key].kind == "evaluate"]


@pytest.mark.parametrize(("case", "origin"), [("pruned", "from-scratch"), ("int8", "from-scratch"), ("chain", "soft")])
def test_a_compressed_file_is_evaluated_beside_what_it_came_from(planned: Planner, case: str, origin: str) -> None:
    plan = planned()
    assert [spec.inputs["origin"] for spec in evaluations(plan, case)] == [s.key for s in evaluations(plan, origin)]


def test_what_no_case_has_is_evaluated_for_the_compressed_one_and_is_no_row(planned: Planner) -> None:
    plan = planned(("  soft: [soft_distillation: {temperature: 4}]\n", ""))
    (spec, other) = evaluations(plan, "chain")
    origin = plan.stages[spec.inputs["origin"]]
    assert origin.inputs["model"] == origin.inputs["export"] == plan.stages[other.inputs["origin"]].inputs["model"]
    assert spec.inputs["origin"] not in {label.key for label in plan.labels}


def measurements(plan: Plan, case: str) -> dict[int, StageSpec]:
    """The measurements of the first target, by seed."""
    labels = [label for label in plan.labels if label.case == case and label.target == plan.targets[0].id]
    found = {label.seed: plan.stages[label.key] for label in labels}
    return {seed: spec for seed, spec in found.items() if spec.kind == "measure"}


@pytest.mark.parametrize(("case", "origin"), [("pruned", "from-scratch"), ("int8", "from-scratch"), ("chain", "soft")])
def test_a_compressed_file_is_timed_beside_the_same_seeds_uncompressed_one(
    planned: Planner, case: str, origin: str
) -> None:
    plan = planned()
    baseline = measurements(plan, "from-scratch")[0].inputs["model"]
    for seed, spec in measurements(plan, case).items():
        assert spec.inputs["origin"] == measurements(plan, origin)[seed].inputs["model"]
        assert spec.inputs["baseline"] == baseline
    assert all("origin" not in spec.inputs for spec in measurements(plan, origin).values())


def test_a_file_is_timed_with_its_own_evaluation_at_hand_and_does_not_rest_on_it(planned: Planner) -> None:
    plan = planned()
    for case in ("teacher", "from-scratch", "chain"):
        spec = measurements(plan, case)[0]
        answers = plan.stages[spec.inputs["answers"]]
        assert (answers.kind, answers.inputs["model"]) == ("evaluate", spec.inputs["model"])
        assert answers.settings["target"] == spec.settings["target"]
        assert answers.key not in plan.lineage(spec.key)


def asked_beside(plan: Plan, case: str) -> dict[int, tuple[bool, bool]]:
    """By seed, whether a start is timed and energy read."""
    found = measurements(plan, case)
    return {seed: (spec.settings["start"], spec.settings["energy"]) for seed, spec in found.items()}


def test_starts_are_timed_of_the_first_seed_and_energy_only_where_it_is_asked_for(planned: Planner) -> None:
    plan = planned()
    assert asked_beside(plan, "soft") == {0: (True, False), 1: (False, False), 2: (False, False)}
    assert measurements(plan, "teacher")[0].settings["start"]
    other = planned(("batch_sizes: [1]", "batch_sizes: [1], start: false, energy: true"), ("[0, 1, 2]", "[7, 0]"))
    assert asked_beside(other, "soft") == {7: (False, True), 0: (False, False)}
    assert measurements(other, "teacher")[0].settings["energy"]  # it has one seed, whatever the students' are


def test_a_row_without_compression_is_compared_with_its_teacher_alone(planned: Planner) -> None:
    plan = planned()
    for case in ("from-scratch", "soft", "hot"):
        assert all(spec.inputs.keys() == {"data", "model", "export", "teacher"} for spec in evaluations(plan, case))


def test_a_compressed_model_does_not_rest_on_the_evaluation_of_what_it_came_from(planned: Planner) -> None:
    plan = planned()
    (spec, _) = evaluations(plan, "chain")
    assert spec.inputs["origin"] not in plan.lineage(spec.key)


def test_only_what_a_label_needs_and_the_store_lacks_is_to_do(planned: Planner) -> None:
    plan = planned()
    assert [spec.key for spec in plan.needed(plan.labels, lambda key: False)] == list(plan.stages)
    assert plan.needed(plan.labels, lambda key: True) == []
    measured = next(label for label in plan.labels if plan.stages[label.key].kind == "measure" and label.case == "soft")
    have = plan.stages.keys() - {measured.key}
    assert [spec.key for spec in plan.needed([measured], have.__contains__)] == [measured.key]


def test_a_part_of_a_suite_keeps_its_baseline_and_teacher(planned: Planner) -> None:
    plan = planned()
    chosen = plan.chosen(select(plan.suite, ["chain"], ["1"]))
    assert {label.case for label in chosen} == {"chain", "from-scratch", "teacher"}
    assert {label.seed for label in chosen if label.case != "teacher"} == {1}


def test_lineage_is_what_a_rows_model_rests_on(planned: Planner) -> None:
    plan = planned()

    def lineage(case: str, kind: str) -> list[str]:
        label = next(lb for lb in plan.labels if lb.case == case and plan.stages[lb.key].kind == kind)
        return [plan.stages[key].kind for key in plan.lineage(label.key)]

    assert lineage("pruned", "measure") == ["decode", "train", "compress", "export", "measure"]
    assert lineage("soft", "measure") == ["decode", "train", "teach", "compress", "export", "measure"]


def test_two_targets_of_one_name_are_refused_at_their_line(planned: Planner) -> None:
    twice = "batch_sizes: [1]}\n  - {provider: cpu, batch_sizes: [1], python: /usr/bin/python3}"
    machine = Machine("cpu", "x86_64", {None: RUNTIME, "/usr/bin/python3": RUNTIME})
    with pytest.raises(
        SuiteError, match=r"s\.yaml:\d+: measure\.1: a second target would be named 'local-cpu-1t-fp32'"
    ):
        planned(("batch_sizes: [1]}", twice), machine=machine)


def test_missing_data_is_an_error_of_the_suites_task(planned: Planner, tmp_path: Path) -> None:
    folder = f"task: {{image_folder: {{root: {tmp_path}/none, image_size: 32}}}}"
    with pytest.raises(SuiteError, match=r"s\.yaml:4: task\.image_folder: .*none"):
        planned(("task: digits", folder))


def test_labels_are_rows(planned: Planner) -> None:
    plan = planned()
    assert len(plan.labels) == len(set(plan.labels))
    assert all(isinstance(label, Label) and label.key in plan.stages for label in plan.labels)


def test_a_spec_survives_json(planned: Planner) -> None:
    for spec in planned().stages.values():
        assert StageSpec.from_json(spec.to_json()).key == spec.key


TEACHERS = (
    "cases:\n",
    "teachers:\n"
    "  wide: {model: {cnn: {channels: [64, 128]}}, per_seed: true}\n"
    "cases:\n"
    "  by-wide: {teacher: wide, steps: [soft_distillation]}\n"
    "  by-two: {teacher: [wide, {model: {cnn: {channels: [32, 64]}}}], steps: [multi_teacher]}\n"
    "  by-own: {teacher: {model: {cnn: {channels: [48, 64]}}}, steps: [soft_distillation]}\n"
    "  by-case: {teacher: {case: soft}, steps: [soft_distillation]}\n"
    "  sparse: {steps: [], regularizer: {penalty: group, weight: 1e-4}}\n",
)


def test_every_teacher_has_a_row_under_its_name(planned: Planner) -> None:
    plan = planned(TEACHERS)
    assert plan.teachers == ("teacher", "teacher/wide", "teacher/by-own")
    assert plan.taught["soft"] == "teacher"
    assert plan.taught["by-wide"] == plan.taught["by-two"] == "teacher/wide"
    assert plan.taught["by-own"] == "teacher/by-own"
    assert plan.taught["by-case"] == "soft"
    assert {label.seed for label in plan.labels if label.case == "teacher/wide"} == {0, 1, 2}
    assert {label.seed for label in plan.labels if label.case == "teacher/by-own"} == {0}


def test_each_of_several_teachers_is_an_input_with_its_own_outputs(planned: Planner) -> None:
    plan = planned(TEACHERS)
    taught = [plan.stages[key] for key in rows(plan, "by-two") if plan.stages[key].kind == "compress"]
    assert len(taught) == 3
    for spec in taught:
        assert {"teacher", "teacher:1", "outputs", "outputs:1"} < spec.inputs.keys()
        assert spec.inputs["teacher"] != spec.inputs["teacher:1"]


def test_a_case_that_teaches_is_planned_once_for_both(planned: Planner) -> None:
    plan = planned(TEACHERS)
    soft = {label.seed: label.key for label in plan.labels if label.case == "soft" and label.target is None}
    taught = {label.seed: label.key for label in plan.labels if label.case == "by-case" and label.target is None}
    assert {seed: plan.stages[key].inputs["teacher"] for seed, key in taught.items()} == soft


def test_a_part_of_a_suite_brings_the_teachers_of_its_cases(planned: Planner) -> None:
    plan = planned(TEACHERS)
    chosen = {label.case for label in plan.chosen(select(plan.suite, ["by-own"], ["1"]))}
    assert chosen == {"teacher", "teacher/by-own", "from-scratch", "by-own"}


def test_a_regularizer_trains_anew_and_is_compared_with_from_scratch(planned: Planner) -> None:
    plan = planned(TEACHERS)
    assert rows(plan, "sparse").isdisjoint(rows(plan, "from-scratch"))
    assert plan.references["sparse"] == "from-scratch"


@pytest.mark.parametrize("teacher", ["{onnx: big.onnx}", "{model: cnn, weights: big.pt}"])
def test_a_teachers_file_counts_by_its_content_and_not_by_its_place(
    planned: Planner, tmp_path: Path, teacher: str
) -> None:
    old = "teacher: {model: {cnn: {channels: [32, 64]}}, recipe: train}"

    def adopted(name: str, content: bytes) -> set[str]:
        (tmp_path / name).write_bytes(content)
        suffix = Path(name).suffix
        return keys(planned((old, f"teacher: {teacher.replace('big' + suffix, str(tmp_path / name))}")), "adopt")

    suffix = ".onnx" if "onnx" in teacher else ".pt"
    first = adopted(f"one{suffix}", b"1")
    assert len(first) == 1
    assert adopted(f"two{suffix}", b"1") == first
    assert adopted(f"one{suffix}", b"2").isdisjoint(first)


def test_a_teachers_file_that_is_not_there_is_said(planned: Planner) -> None:
    old = "teacher: {model: {cnn: {channels: [32, 64]}}, recipe: train}"
    with pytest.raises(SuiteError, match=r"teacher: cannot read 'no\.onnx' \(No such file or directory\)\."):
        planned((old, "teacher: {onnx: no.onnx}"))


def test_a_plugins_version_is_part_of_what_an_evaluation_depends_on(planned: Planner) -> None:
    entry = "batch_sizes: [1], plugin: onnxruntime_ep_webgpu, precisions: [default]}"
    keys = []
    for version in ("0.4.0", "0.5.0"):
        facts = {"facts": {"plugins": [f"onnxruntime_ep_webgpu-{version}"]}}
        machine = Machine("cpu", "x86_64", {None: {**RUNTIME, **facts}})
        plan = planned(("provider: cpu", "provider: mine"), ("batch_sizes: [1]}", entry), machine=machine)
        keys.append({key for key, spec in plan.stages.items() if spec.kind == "evaluate"})
    assert not keys[0] & keys[1]


def test_a_case_is_compared_with_the_one_that_it_names(planned: Planner) -> None:
    other = "  other: {student: {model: mlp}, steps: [soft_distillation], compare_with: soft}\n  hot:"
    plan = planned(("  hot:", other))
    assert plan.references["other"] == "soft"
    assert not rows(plan, "other/from-scratch")
    (timed,) = {spec.inputs["baseline"] for spec in measurements(plan, "other").values()}
    assert timed == measurements(plan, "soft")[0].inputs["model"]
    alone = plan.chosen(select(plan.suite, ["other"]))
    assert {label.case for label in alone} >= {"other", "soft", "teacher"}


def test_a_chain_of_many_teachers_is_planned(planned: Planner) -> None:
    first, *later = [f"g{number}" for number in range(400)]
    chain = f"  {first}: [soft_distillation]\n" + "".join(
        f"  {name}: {{teacher: [{{case: {before}}}, {{case: {before}}}], steps: [soft_distillation]}}\n"
        for before, name in zip([first, *later], later, strict=False)
    )
    plan = planned(
        ("  hot:", f"{chain}  hot:"), ("seeds: [0, 1, 2]", "seeds: [0]"), ("threads: [1, 2]", "threads: [1]")
    )
    assert kinds(plan)["compress"] > 400


def test_planning_grows_with_the_rows(planned: Planner) -> None:
    """Counted in calls of Python functions, which no other program slows down."""

    def calls(seeds: int) -> int:
        count = 0

        def note(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(note)
        try:
            planned(("[0, 1, 2]", str(list(range(seeds)))))
        finally:
            sys.setprofile(None)
        return count

    calls(1)  # imports
    fewer, more = calls(20), calls(80)
    assert more < 4 * fewer


def test_a_metric_of_another_package_is_no_part_of_what_a_task_of_kdbenchs_own_is_judged_by(
    planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned()
    every = {kind: dict(table) for kind, table in registry.TABLE.items()}
    every["metric"]["theirs"] = every["metric"]["accuracy"]
    monkeypatch.setattr(registry, "names", every.__getitem__)
    assert planned().stages.keys() == before.stages.keys()
    monkeypatch.delitem(registry.TABLE["task"], "digits")  # as though another package brought it
    other = planned()
    assert {spec.kind for key, spec in other.stages.items() if key not in before.stages} == {"evaluate", "measure"}
