"""The client: answers as types, a file that kills its process, a process that loaded what it must not."""

from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import MeasureError
from kdbench.measure import client as module
from kdbench.measure.answers import ProvedFile, Timing, read
from kdbench.measure.client import Client

FILES = {"a" * 64: Path("a.onnx"), "b" * 64: Path("b.onnx")}
INPUTS = Path("in.npz")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Its processes prove every file but b.onnx, which kills them."""

    def run_job(job: dict[str, Any], *others: Any) -> dict[str, Any]:
        if any(file["path"] == "b.onnx" for file in job["files"]):
            raise MeasureError("onnxruntime's process crashed with SIGSEGV.")
        ran = {"1": {"node_count_by_provider": {"CPU": 3}}}
        entries = [
            {**file, "provider_asked": "CPU", "providers_got": ["CPU"], "by_batch": ran} for file in job["files"]
        ]
        return {"runtime": "onnxruntime", "runtime_version": "1", "files": entries, "modules": job.get("modules", [])}

    monkeypatch.setattr(module, "run_job", run_job)
    return Client(tmp_path, {"provider": "cpu"})


def test_a_file_that_kills_its_process_takes_no_other_answer_with_it(client: Client) -> None:
    good, bad = client.prove(FILES, INPUTS, [1]).values()
    assert isinstance(good, ProvedFile)
    assert good.by_batch[1].node_count_by_provider == {"CPU": 3}
    assert isinstance(bad, MeasureError)
    assert str(bad) == "onnxruntime's process crashed with SIGSEGV."


def test_times_of_a_process_that_had_loaded_torch_do_not_count(client: Client) -> None:
    with pytest.raises(MeasureError, match=r"had loaded torch; its times do not count"):
        client.ask("prove", files=[], modules=["torch"])


def test_an_answer_that_lacks_a_field_is_not_taken_for_a_whole_one() -> None:
    with pytest.raises(MeasureError, match=r"not whole .*samples_ns"):
        read(Timing, {"input_shapes": [], "first_inference_ns": 1, "warmup_ns": [], "classes": []})
