"""Runtimes of third parties: found by entry point or file, carried into a process, held to the contract."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_models import conv_net, entry

from kdbench import registry, testing
from kdbench.errors import MeasureError, UnknownName
from kdbench.measure.answers import ProvedFile
from kdbench.measure.carried import declared, find_runtime
from kdbench.measure.client import Client
from kdbench.measure.runtimes import OWN, runtime_class
from kdbench.measure.session_spec import SessionSpec
from kdbench.plan.rows import make_plan
from kdbench.suite.reader import load
from kdbench.suite.targets import targets_of
from kdbench.timing.machine import Machine

ECHO = Path(__file__).with_name("echo_runtime.py")
FILE = f"{ECHO}:Echo"
SLOW = pytest.mark.slow
ENTRY_POINTS = "[kdbench.runtimes]\necho = acme_echo:Echo\n"
SUITE = """
kdbench: 1
name: elsewhere
task: digits
seeds: [0]
recipes:
  train: {epochs: 1, learning_rate: 0.05}
student: {model: {cnn: {channels: [8, 16]}}, recipe: train}
cases:
  from-scratch: []
measure:
  - {provider: cpu}
  - {provider: echo, runtime: "echo.py:Echo"}
"""
SAID = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16, "facts": {}, "also": {}}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same runtime as a package that this process has installed, and no other."""
    shutil.copy(ECHO, tmp_path / "acme_echo.py")
    info = tmp_path / "acme_echo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-echo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()


def test_kdbenchs_own_runtimes_are_registered_where_the_program_finds_them() -> None:
    assert registry.TABLE["runtime"] == OWN
    for name, place in OWN.items():
        assert runtime_class(place).name == name


@pytest.mark.parametrize(("provider", "artefact", "deployable"), [("cpu", "onnx", True), ("torch", "pt2", False)])
def test_a_runtime_says_what_it_reads_and_whether_anybody_ships_on_it(
    provider: str, artefact: str, deployable: bool
) -> None:
    found = declared(None, provider)
    assert (found.artefact, found.deployable) == (artefact, deployable)


def test_one_from_a_package_travels_into_a_process_that_has_not_installed_it(
    installed: None, tmp_path: Path, job: dict[str, str]
) -> None:
    client = Client(tmp_path / "scratch", {"provider": "echo", "runtime": "echo"})
    assert client.describe()["runtime"] == "echo"
    path = tmp_path / "net.onnx"
    path.write_bytes(conv_net().SerializeToString())
    (proof,) = client.prove({entry(path)["digest"]: path}, Path(job["inputs"]), [4]).values()
    assert isinstance(proof, ProvedFile)
    assert proof.by_batch[4].node_count_by_provider == {"EchoProvider": 1}


def test_one_from_a_file_keeps_the_contract() -> None:
    testing.check_runtime(FILE)


def test_one_whose_files_are_made_from_onnx_keeps_the_contract() -> None:
    testing.check_runtime(f"{ECHO}:Packed")


def test_one_that_answers_wrongly_does_not_keep_the_contract() -> None:
    with pytest.raises(AssertionError, match=r"Silent on echo answers otherwise than onnxruntime does"):
        testing.check_runtime(f"{ECHO}:Silent")


def test_one_that_imports_its_library_at_once_does_not_keep_the_contract(tmp_path: Path) -> None:
    heavy = tmp_path / "heavy.py"
    heavy.write_text(ECHO.read_text().replace("from typing", "import onnxruntime\nfrom typing"))
    with pytest.raises(AssertionError, match=r"Echo imports onnxruntime where it is declared"):
        testing.check_runtime(f"{heavy}:Echo")


@pytest.mark.parametrize(("name", "provider"), [("onnxruntime", "cpu"), pytest.param("torch", "torch", marks=SLOW)])
def test_kdbenchs_own_keep_the_contract(name: str, provider: str) -> None:
    testing.check_runtime(name, providers=[provider])


def test_a_class_that_is_no_runtime_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("class Other:\n    pass\n")
    with pytest.raises(UnknownName, match=r"other\.py:Other' is no runtime"):
        find_runtime(f"{tmp_path}/other.py:Other")
    with pytest.raises(UnknownName, match=r"there is no runtime 'onnxruntim'\. Did you mean 'onnxruntime'\?"):
        find_runtime("onnxruntim")


def test_a_suite_plans_the_onnx_file_on_it_and_its_code_is_in_the_key(tmp_path: Path) -> None:
    text = ECHO.read_text()
    keys = []
    for version in (text, text.replace('"build_info": "none"', '"build_info": "another"')):
        (tmp_path / "echo.py").write_text(version)
        (tmp_path / "s.yaml").write_text(SUITE)
        suite = load(tmp_path / "s.yaml")
        machine = Machine("cpu", "x86_64", {None: SAID}, {(None, "echo"): SAID})
        plan = make_plan(suite, machine)
        here, there = (target.id for target in targets_of(suite.measure))
        assert (here, there) == ("local-cpu-1t-fp32", "local-echo-1t-fp32")
        stages = {
            target: [plan.stages[label.key] for label in plan.labels if label.target == target]
            for target in (here, there)
        }
        assert [stage.kind for stage in stages[there]] == ["evaluate", "measure"]
        assert stages[there][1].inputs["model"] == stages[here][1].inputs["model"]
        assert stages[there][1].settings["target"]["session"]["runtime"] == f"{tmp_path}/echo.py:Echo"
        keys.append([stage.key for stage in stages[there]])
    assert not set(keys[0]) & set(keys[1])


def test_a_suite_is_told_what_its_runtime_lacks(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO.read_text())
    for told, sentence in (
        ("provider: cpu, runtime: 'echo.py:Echo'", r"there is no provider 'cpu'\. Did you mean 'echo'\?|Known: echo\."),
        ("provider: echo, runtime: nowhere", r"there is no runtime 'nowhere'"),
        ("provider: echo, runtime: 'echo.py:Echo', precisions: [fp16]", r"provider echo offers precision fp32, got"),
    ):
        text = SUITE.replace('provider: echo, runtime: "echo.py:Echo"', told)
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(Exception, match=sentence):
            load(tmp_path / "s.yaml")


def test_plain_calls_of_a_session_that_binds_nothing_answer_as_run_does(tmp_path: Path) -> None:
    found = find_runtime(FILE)
    path = tmp_path / "net.onnx"
    path.write_bytes(conv_net().SerializeToString())
    session = found.cls().load(str(path), SessionSpec("cpu"))
    feeds = [{"x": np.full((2, 3, 8, 8), value, np.float32)} for value in (0.1, 0.2)]
    bound = session.bind(feeds)
    for number, feed in enumerate(feeds):
        bound.run(number)
        np.testing.assert_array_equal(bound.outputs(number)[0], session.run(feed)[0])
    with pytest.raises(MeasureError, match=r"wants an input 'x', the inputs given are named y"):
        session.run({"y": feeds[0]["x"]})
