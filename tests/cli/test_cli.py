"""The command line as a user meets it: help, lists, plans, clean errors, exit codes, no torch."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from kdbench import registry
from kdbench.cli import cli, exit_code
from kdbench.cli._describe import describe_text
from kdbench.cli._fields import field_texts
from kdbench.cli._kinds_table import kinds_page
from kdbench.cli._listing import list_text
from kdbench.cli._reference import ENTRIES, NESTED, suite_page
from kdbench.suite.form import SuiteFields

SUITES = Path(__file__).parents[2] / "suites"


def kdbench(*arguments: str, cwd: Path | None = None, code: int = 0) -> str:
    """What a command printed; its errors where the code is not 0."""
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd or "."), contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        found = exit_code(list(arguments))
    assert found == code, errors.getvalue()
    return errors.getvalue() if code else said.getvalue()


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_every_verb_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert str(cli.commands[verb].help).split()[0] in result.output


@pytest.mark.parametrize("kind", registry.KINDS)
def test_list_has_a_line_for_every_registered_name(kind: str) -> None:
    listed = kdbench("list", f"{kind}s")
    for name in registry.names(kind):
        assert re.search(rf"^ *{name}  +\w", listed, re.MULTILINE)


def test_techniques_are_listed_by_family_and_cut_at_the_terminals_width() -> None:
    whole = list_text("techniques", None)
    families = re.split(r"\n\n", whole)
    pruning = next(family for family in families if family.startswith("Pruning"))
    assert "structured_pruning" in pruning
    assert "soft_distillation" not in pruning
    assert max(map(len, list_text("techniques", 80).splitlines())) <= 80
    assert max(map(len, whole.splitlines())) > 100


def test_list_providers_names_what_a_suite_may_ask_for() -> None:
    listed = kdbench("list", "providers")
    assert re.search(r"^cpu +CPUExecutionProvider \(fp32\)", listed, re.MULTILINE)
    assert re.search(r"^cuda +CUDAExecutionProvider \(fp32, tf32; search, graphs\)", listed, re.MULTILINE)


def test_describe_shows_formula_paper_and_bounds() -> None:
    said = kdbench("describe", "soft_distillation")
    assert "T^2 * KL(softmax(t / T) || softmax(s / T))" in said
    assert "Hinton, Vinyals, Dean 2015" in said
    assert "temperature: number, > 0, default 4.0" in said
    assert "Needs: teacher" in said


def test_describe_says_which_layers_a_technique_taps() -> None:
    said = kdbench("describe", "fitnet")
    assert "Layers it taps by default" in said
    assert "resnet8x4" in said
    own = kdbench("describe", "fitnet", "--suite", str(SUITES / "quickstart.yaml"))
    assert "teacher cnn  layer2" in own
    assert "resnet8x4" not in own


def test_describe_knows_recipes_and_names_the_nearest() -> None:
    assert "epochs: whole number, > 0, <= 1000000, required" in kdbench("describe", "recipe")
    assert "Did you mean 'soft_distillation'?" in kdbench("describe", "soft_destillation", code=2)
    assert len(kdbench("describe", "no-such-thing", code=2)) < 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("measure", "processes: whole number, >= 3, <= 1000, default 5"),
        ("student", "recipe: text, default train"),
        ("teacher", "per_seed: true or false, default false"),
        ("case", "compare_with: text"),
        ("check", "max_ratio: number, > 1, default 1.03"),
        ("limits", "Highest median latency of one call: 2ms."),
        ("seeds", "list of whole numbers, >= 0"),
        ("recipes", "How models are trained, by name."),
        ("recipes", "epochs: whole number"),
        ("cpu", "CPUExecutionProvider"),
        ("onnxruntime", "reads ONNX"),
        ("pruning", "structured_pruning"),
        ("quantization", "quantization_aware_training"),
        ("features", "fitnet"),
    ],
)
def test_describe_explains_entries_of_a_suite_providers_and_families(name: str, expected: str) -> None:
    assert expected in describe_text(name)


def test_the_page_of_all_fields_is_current() -> None:
    """After a change: kdbench describe suite --format markdown > report/suite.md."""
    assert (SUITES.parent / "report" / "suite.md").read_text(encoding="utf-8") == suite_page()


def test_the_table_of_kinds_is_current_and_has_a_reason_for_every_no() -> None:
    """After a change: kdbench describe kinds --format markdown > report/kinds.md."""
    page = kinds_page()
    assert (SUITES.parent / "report" / "kinds.md").read_text(encoding="utf-8") == page
    assert "| no |" not in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(registry.names("technique"))


def test_every_field_of_a_suite_is_explained() -> None:
    types = [
        SuiteFields,
        *(cls for cls, _ in ENTRIES.values()),
        *(cls for inner in NESTED.values() for cls in inner.values()),
    ]
    assert [f"{cls.__name__}.{field.name}" for cls in types for field in field_texts(cls) if not field.about] == []
    page = suite_page()
    for name in ("task", "compare_with", "engine_cache", "steps_down", "latency_p50"):
        assert f"`{name}`" in page


def test_validate_and_plan_of_the_quickstart(tmp_path: Path) -> None:
    quickstart = str(SUITES / "quickstart.yaml")
    assert kdbench("validate", quickstart).endswith("ok: 9 cases, 5 seeds, 1 targets; 181 stages.\n")
    said = kdbench("plan", quickstart, "--store", str(tmp_path))
    assert "soft_distillation > structured_pruning > static_quantization" in said
    assert "stages to do" in said
    part = kdbench("plan", quickstart, "--store", str(tmp_path), "--case", "soft", "--seed", "2")
    assert int(part.splitlines()[-1].split()[0]) < int(said.splitlines()[-1].split()[0])


def test_schema_is_json_schema() -> None:
    assert json.loads(kdbench("schema"))["properties"].keys() >= {"task", "cases", "measure"}


def test_a_mistake_in_a_suite_is_one_line_with_its_place(tmp_path: Path) -> None:
    text = (
        (SUITES / "quickstart.yaml")
        .read_text()
        .replace("soft_distillation: {temperature: 4}]", "soft_distillation: {temprature: 4}]")
    )
    (tmp_path / "s.yaml").write_text(text)
    said = kdbench("validate", "s.yaml", cwd=tmp_path, code=2)
    assert said == (
        "s.yaml:20: cases.soft.0.soft_distillation.temprature: soft_distillation has no field 'temprature'. "
        "Did you mean 'temperature'?\n"
    )


def test_a_missing_suite_is_named(tmp_path: Path) -> None:
    said = kdbench("run", "none.yaml", cwd=tmp_path, code=2)
    assert "none.yaml" in said
    assert "Traceback" not in said


def test_unknown_options_and_verbs_are_bad_input() -> None:
    assert "No such option" in kdbench("run", "--colour", code=2)
    assert "No such command" in kdbench("ran", code=2)


def test_a_place_that_cannot_be_written_says_so_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    quickstart = str(SUITES / "quickstart.yaml")
    said = kdbench("run", quickstart, "--store", "file/store", cwd=tmp_path, code=2)
    assert said == "cannot write the store 'file/store' (Not a directory); name another folder with --store.\n"
    said = kdbench("run", quickstart, "--store", "store", "-o", "file/results", cwd=tmp_path, code=2)
    assert said.splitlines()[-1].startswith("cannot write 'file/results' (Not a directory)")


def test_the_store_is_shown_and_swept(tmp_path: Path) -> None:
    assert "0 stages" in kdbench("store", "--store", str(tmp_path))
    assert "0 stages in" in kdbench("store", "--store", str(tmp_path), "--older-than", "0", "--yes")


def test_a_folder_without_records_cannot_be_rendered(tmp_path: Path) -> None:
    assert "holds no results; give a folder that `kdbench run -o FOLDER` wrote" in kdbench(
        "render", str(tmp_path), code=2
    )
