"""Stored results are found by versions: code may not change without the versions that speak for it being thought of."""

import pytest
from code_hashes import COMMAND, Code, changes, hashes, noted, package_sources

SOURCES = package_sources()
NOW = hashes(Code(SOURCES))


def test_code_that_changed_says_whether_its_numbers_did() -> None:
    found = changes(noted(), Code(SOURCES))
    assert not found, "\n".join(
        [*found, f"Raise those whose numbers change, and note the new hashes in any case: {COMMAND}"]
    )


def changed(module: str, before: str, after: str) -> str:
    """What the test above would say of the package with this edit."""
    assert before in SOURCES[module]
    edited = {**SOURCES, module: SOURCES[module].replace(before, after)}
    return "\n".join(changes(NOW, Code(edited)))


def test_a_loss_belongs_to_the_techniques_that_use_it() -> None:
    said = changed("kdbench.functional._outputs", "temperature**2", "temperature")
    assert "kdbench/functional/_outputs.py: soft_cross_entropy changed" in said
    assert "`version` of SoftDistillation, MixedDistillation" in said
    assert "HardDistillation" not in said
    assert "kdbench/stages" not in said


def test_the_loop_has_a_version_of_its_own() -> None:
    said = changed("kdbench.training.loop", "self.optimizer.step()", "pass")
    assert said == "kdbench/training/loop.py: Training changed: raise LOOP_VERSION in kdbench/stages/__init__.py."


def test_the_order_of_examples_belongs_to_all_who_go_by_it() -> None:
    said = changed("kdbench.tasks.arrays", ".permutation(count)", ".permutation(count)[::-1]")
    for unit in ("LOOP_VERSION", "teach"):
        assert unit in said
    for unit in ("decode", "measure", "Digits"):
        assert unit not in said


def test_an_augmentation_belongs_to_the_tasks_that_offer_it() -> None:
    said = changed("kdbench.tasks._augment", "flip(1)", "flip(0)")
    for task in ("ImageFolder", "MNIST", "CIFAR100"):
        assert task in said
    assert "Digits" not in said


def test_a_kind_of_stage_names_its_own_version() -> None:
    said = changed("kdbench.stages.teach", "np.unique(np.concatenate(visited))", "np.concatenate(visited)")
    assert said == (
        "kdbench/stages/teach.py: wanted_codes changed: raise in VERSIONS of kdbench/stages/__init__.py teach."
    )


def test_a_network_belongs_to_the_models_that_build_it_though_they_import_it_late() -> None:
    said = changed("kdbench.models._resnet", "bias=False", "bias=True")
    assert "ResNet8x4" in said
    assert "WRN" not in said


def test_the_measuring_program_belongs_to_those_who_start_it_though_nobody_imports_it() -> None:
    said = changed("kdbench.measure.clock", "gc.disable()", "pass")
    assert "VERSIONS of kdbench/stages/__init__.py convert, evaluate, measure" in said
    assert "LOOP_VERSION" not in said


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("kdbench.training.loop", '"""The epoch (from 1) of the best score', '"""Other words: '),
        ("kdbench.training.loop", "import math\n", "import math  # said beside\n"),
        ("kdbench.training.term_log", "the loss is not finite", "the sum is not finite"),
        ("kdbench.training.loop", "recipe: Recipe, epochs: float", "recipe: Recipe, epochs: int"),
        ("kdbench.errors", "class DataError(", "class _Between(KdbenchError): ...\n\n\nclass DataError("),
    ],
    ids=["docstring", "comment", "error text", "annotation", "errors"],
)
def test_what_changes_no_number_is_not_asked_about(module: str, before: str, after: str) -> None:
    assert changed(module, before, after) == ""


def used(**files: str) -> set[str]:
    """What `start` of a package of these files rests on."""
    sources = {f"kdbench.{name}".replace("__", "."): text for name, text in files.items()}
    return Code(sources).closure(["kdbench.a:start"])


def test_strings_in_a_table_count_as_imports() -> None:
    found = used(
        a='TABLE = {"x": "kdbench.b:f"}\ndef start(): return TABLE', b="def f(): return g()\ndef g(): ...\nh = 1"
    )
    assert found == {"kdbench.a:start", "kdbench.a:TABLE", "kdbench.b:f", "kdbench.b:g"}


def test_a_lazy_name_without_a_known_home_may_be_anywhere_in_its_package() -> None:
    package = "def __getattr__(name): ..."
    found = used(a="from kdbench import b\ndef start(): return b.f", b=package, b__c="f = 1", b__d="g = 2")
    assert {"kdbench.b.c:f", "kdbench.b.d:g"} <= found


def test_what_runs_at_import_counts_with_every_name_of_its_file() -> None:
    found = used(a="from kdbench.b import f\ndef start(): return f()", b="def f(): ...\nregister(g())\ndef g(): ...")
    assert found == {"kdbench.a:start", "kdbench.b:f", "kdbench.b:", "kdbench.b:g"}
