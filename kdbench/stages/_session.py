"""How stages run a file on their target: which file it is, who is asked, and predictions."""

from pathlib import Path

from kdbench.errors import MeasureError
from kdbench.measure import actions, jobs
from kdbench.measure.answers import predicted_files
from kdbench.measure.carried import declared
from kdbench.measure.client import Client
from kdbench.ragged import Stored
from kdbench.stages.names import MODEL
from kdbench.stages.work import Work


def client(work: Work, folder: Path) -> Client:
    """Who asks the measuring program on the stage's target; `folder` is for scratch."""
    target = work.spec.settings["target"]
    return Client(folder, target["session"], target["python"])


def model_file(work: Work, role: str) -> Path:
    """An input's file for the stage's target."""
    session = work.spec.settings["target"]["session"]
    return work.input(role) / f"{MODEL}.{declared(session.get('runtime'), session['provider']).artefact}"


def predict(work: Work, digest: str, path: Path, inputs: Path, batch_size: int, folder: Path) -> list[Stored]:
    """One file's outputs for every example, through the target's runtime; arrays are mapped from files in `folder`.

    Raises MeasureError.
    """
    target = work.spec.settings["target"]
    if target["python"] is not None or target["session"]["provider"] != "cpu":  # another's libraries stay out of here
        found = client(work, folder).predict({digest: path}, inputs, batch_size)
    else:
        # a fresh process would only cost time here: the arithmetic is the session's
        files = [{"digest": digest, "path": str(path)}]
        job = {"schema": jobs.SCHEMA, "action": "predict", **target["session"], "files": files}
        job |= {"inputs": str(inputs), "batch_size": batch_size}
        found = predicted_files(actions.predict(jobs.make_job(job), folder), folder)
    answer = found[digest]
    if isinstance(answer, MeasureError):
        raise answer
    return answer.outputs()
