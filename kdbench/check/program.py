"""How a check asks the measuring program: always in a fresh process of the interpreter that a target names."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure import client, jobs

PROGRAM = "measure.pyz"


def ask(entry: dict[str, Any], action: str, folder: Path, **fields: Any) -> dict[str, Any]:
    """Run one action; `entry` has a target's `session` and `python`, `folder` is for scratch.

    Raises MeasureError with the program's sentence, or when its process was not as light as it must be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = client.pack(folder / PROGRAM)
    job = {"schema": jobs.SCHEMA, "action": action, **entry["session"], **fields}
    answer = client.run_job(job, folder, program, entry.get("python") or sys.executable)
    if answer["modules"]:
        raise MeasureError(f"the measuring process had loaded {', '.join(answer['modules'])}; its times do not count.")
    return answer


def ask_of_each(
    entry: dict[str, Any], action: str, folder: Path, files: Mapping[str, Path], **fields: Any
) -> dict[str, dict[str, Any]]:
    """Digest -> what the action found of that file, or `error`, the sentence of what failed.

    `files`: digest -> path. All go into one process; where it dies, each gets one of its own.
    """
    named = [{"digest": digest, "path": str(path)} for digest, path in files.items()]
    try:
        answer = ask(entry, action, folder, files=named, **fields)
    except MeasureError as error:
        if len(files) == 1:
            return {digest: {"error": str(error)} for digest in files}
        alone = [ask_of_each(entry, action, folder, {digest: path}, **fields) for digest, path in files.items()]
        return {digest: found for one in alone for digest, found in one.items()}
    return {found["digest"]: found for found in answer["files"]}
