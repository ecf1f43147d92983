"""What the doctor says of interpreters: whole ones, bare ones, overwritten ones, and what is no Python at all."""

import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from environments import Script, add_numpy, environment, install, share, uninstall

from kdbench.doctor import diagnose
from kdbench.doctor.findings import Interpreter
from kdbench.doctor.interpreters import Trials, look, tried
from kdbench.errors import MeasureError
from kdbench.timing import probe

pytestmark = pytest.mark.usefixtures("hasty")

CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"


def looked_at(python: Path) -> Interpreter:
    """What the doctor says of one interpreter."""
    with ThreadPoolExecutor(1) as pool:
        (found,) = tried([look(str(python), "cpu")], Trials(pool, lambda what: None), gpus=())
    return found


def test_this_interpreter_runs_the_tiny_model_on_the_cpu_and_proves_it() -> None:
    (own,) = diagnose(None, []).interpreters
    assert own.is_own
    assert (own.path, own.reason) == (sys.executable, None)
    assert own.python_version == platform.python_version()
    assert (own.numpy_version, own.onnxruntime_version) == (np.__version__, onnxruntime.__version__)
    trials = {trial.provider: trial for trial in own.trials}
    assert trials["cpu"].works
    assert trials["cpu"].kernels == {CPU: 5}


def test_another_interpreter_is_tried_as_this_one_is(tmp_path: Path) -> None:
    other = looked_at(share(environment(tmp_path / "shared")))
    assert not other.is_own
    assert other.reason is None
    assert [trial.provider for trial in other.trials if trial.works] == ["cpu"]


def test_an_interpreter_without_packages_is_told_what_to_install(tmp_path: Path) -> None:
    python = environment(tmp_path / "bare")
    bare = looked_at(python)
    assert bare.reason == "no numpy is installed"
    assert bare.python_version == platform.python_version()
    assert bare.trials == ()
    assert bare.remedy is not None
    assert bare.remedy.commands == (f"{python} -m ensurepip", f"{python} -m pip install numpy onnxruntime")


def test_a_systems_own_python_is_left_alone_for_an_environment_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"missing": True, "error": "no numpy is installed"}
    answer = {"refuses_pip": True, "has_pip": True, "numpy": missing, "onnxruntime": missing}
    monkeypatch.setattr(probe, "diagnosis", lambda python: answer)
    found = looked_at(Path("/usr/bin/python3"))
    assert found.remedy is not None
    assert found.remedy.commands == (
        f"{sys.executable} -m venv ~/.venvs/cpu",
        "~/.venvs/cpu/bin/python -m pip install numpy onnxruntime",
    )


def test_with_numpy_only_the_runtime_is_missing(tmp_path: Path) -> None:
    found = looked_at(add_numpy(environment(tmp_path / "bare")))
    assert found.reason == "no onnxruntime is installed"
    assert found.remedy is not None
    assert found.remedy.commands[-1].endswith("pip install onnxruntime")


@pytest.mark.parametrize(("last", "version"), [("onnxruntime", "1.31.1"), ("onnxruntime-openvino", "1.24.1")])
def test_of_two_distributions_the_one_installed_last_is_there_and_the_commands_keep_the_one_that_can_more(
    tmp_path: Path, last: str, version: str
) -> None:
    python = add_numpy(environment(tmp_path / "both"))
    both = {"onnxruntime": ("1.31.1", (CPU,)), "onnxruntime-openvino": ("1.24.1", (OPENVINO, CPU))}
    for name in sorted(both, key=lambda name: name == last):
        install(python, name, *both[name])
    found = looked_at(python)
    assert found.distributions == ("onnxruntime 1.31.1", "onnxruntime-openvino 1.24.1")
    assert found.onnxruntime_version == version
    (trouble,) = found.troubles
    assert "onnxruntime 1.31.1 and onnxruntime-openvino 1.24.1, which overwrite each other in" in trouble.text
    assert f"what is really there is {last} {version}." in trouble.text
    assert trouble.commands[0] == f"{python} -m pip uninstall -y onnxruntime onnxruntime-openvino"
    assert trouble.commands[-1] == f"{python} -m pip install onnxruntime-openvino==1.24.1"


def test_one_that_lost_its_files_when_another_was_uninstalled_is_installed_again(tmp_path: Path) -> None:
    python = add_numpy(environment(tmp_path / "broken"))
    install(python, "onnxruntime", "1.31.1")
    install(python, "onnxruntime-openvino", "1.24.1")
    uninstall(python, "onnxruntime")
    found = looked_at(python)
    assert found.reason == "onnxruntime is only an empty folder: what was in it is gone"
    (trouble,) = found.troubles
    assert "onnxruntime-openvino 1.24.1, of whose 3 files 2 are gone" in trouble.text
    assert trouble.commands == (f"{python} -m pip install --force-reinstall --no-deps onnxruntime-openvino==1.24.1",)


def test_one_distribution_alone_is_no_trouble(tmp_path: Path) -> None:
    python = add_numpy(environment(tmp_path / "one"))
    install(python, "onnxruntime", "1.31.1", ("AzureExecutionProvider", CPU))
    found = looked_at(python)
    assert found.troubles == ()
    assert found.unnamed_providers == ("AzureExecutionProvider",)
    assert [(trial.provider, trial.works) for trial in found.trials] == [("cpu", False)]  # it is only a shell


def test_a_path_that_leads_nowhere_is_told_how_to_be_made(tmp_path: Path) -> None:
    found = looked_at(tmp_path / "my env" / "bin" / "python")
    assert found.reason == f"cannot start {tmp_path}/my env/bin/python (No such file or directory)"
    assert found.remedy is not None
    assert found.remedy.commands == (
        f"{sys.executable} -m venv '{tmp_path}/my env'",
        f"'{tmp_path}/my env/bin/python' -m pip install numpy onnxruntime",
    )


def test_what_is_no_python_says_what_it_answered(script: Script) -> None:
    path = script("echo 'python: I am none' >&2; echo 'try --help' >&2; exit 3")
    found = looked_at(path)
    assert found.reason == f"{path} is no Python: python: I am none"
    assert found.remedy is None


def test_what_ends_well_and_says_nothing_is_no_python_either(script: Script) -> None:
    found = looked_at(script("true"))
    assert found.reason is not None
    assert found.reason.endswith("is no Python: asked for its version, it gave none")


def test_a_python_older_than_the_program_is_named_with_its_version(script: Script) -> None:
    found = looked_at(script("echo python 3.8.18"))
    assert found.reason is not None
    assert found.reason.endswith("is Python 3.8.18; the measuring program needs 3.9 or newer")


def test_one_that_never_answers_is_given_up(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "VERSION_TIMEOUT_S", 0.2)
    found = looked_at(script("sleep 3; echo late"))
    assert found.reason is not None
    assert found.reason.endswith("took longer than 0.2 s, and was ended")


def test_one_that_dies_while_it_measures_says_how(script: Script) -> None:
    found = looked_at(script('case "$2" in -c) echo python 3.11.0;; *) kill -SEGV $$;; esac'))
    assert found.reason is not None
    assert found.reason.startswith("the measuring process crashed with SIGSEGV")


def test_a_provider_that_crashes_takes_no_other_answer_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(python: str | None, session: dict[str, str]) -> dict[str, str]:
        raise MeasureError("onnxruntime's process crashed with SIGABRT.")

    monkeypatch.setattr(probe, "trial", crash)
    (own,) = diagnose(None, []).interpreters
    assert own.onnxruntime_version == onnxruntime.__version__
    assert own.trials[-1].reason == "onnxruntime's process crashed with SIGABRT"
