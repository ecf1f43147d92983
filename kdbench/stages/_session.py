"""How stages ask the measuring program: in this process for predictions here, else in fresh processes."""

import sys
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure import actions, client, jobs
from kdbench.measure.providers import ONNXRUNTIME, TORCH, runtime_of
from kdbench.stages.names import ONNX_FILE, TORCH_FILE
from kdbench.stages.work import Work

PROGRAM = "measure.pyz"
FILES = {ONNXRUNTIME: ONNX_FILE, TORCH: TORCH_FILE}
"""Runtime -> the file in a stage's folder that it reads."""
Answer = dict[str, Any]
"""What a process of the measuring program wrote."""


def pack(work: Work) -> None:
    """Put the measuring program into the stage's folder; `PROGRAM` is not part of the result."""
    client.pack(work.out / PROGRAM, work.spec.settings["target"]["session"]["provider"])


def runtime(work: Work) -> str:
    """Of the stage's target."""
    return runtime_of(work.spec.settings["target"]["session"]["provider"])


def model_file(work: Work, role: str) -> Path:
    """An input's file for the stage's target."""
    return work.input(role) / FILES[runtime(work)]


def ask(work: Work, action: str, folder: Path, **fields: Any) -> dict[str, Any]:
    """Run one action of the program that `pack` wrote, in a fresh process on the stage's target; `folder` is its own.

    Raises MeasureError with the program's sentence, or when that process was not as light as it must be.
    """
    target = work.spec.settings["target"]
    job = {"schema": jobs.SCHEMA, "action": action, **target["session"], **fields}
    answer = client.run_job(job, folder, work.out / PROGRAM, target["python"] or sys.executable)
    if answer["modules"]:
        raise MeasureError(f"the measuring process had loaded {', '.join(answer['modules'])}; its times do not count.")
    return answer


def predict(work: Work, **fields: Any) -> None:
    """Write `DIGEST.npy` (float32 logits) of each file into the stage's folder, through the target's runtime.

    Raises MeasureError.
    """
    target = work.spec.settings["target"]
    if target["python"] is not None or target["session"]["provider"] != "cpu":  # another's libraries stay out of here
        pack(work)
        ask(work, "predict", work.out, **fields)
        work.remove([PROGRAM, "job.json", "predict.json"])
        return
    # a fresh process would only cost time here: the arithmetic is the session's
    job = {"schema": jobs.SCHEMA, "action": "predict", **target["session"], **fields}
    for entry in actions.predict(jobs.make_job(job), work.out)["files"]:
        if "error" in entry:
            raise MeasureError(entry["error"])
