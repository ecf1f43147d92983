"""The one way to ask the measuring program: a fresh process for each question, and an answer that is a type."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, cast

from kdbench.errors import MeasureError
from kdbench.measure import answers, process
from kdbench.measure.answers import Of, OrError
from kdbench.measure.carried import find_runtime
from kdbench.measure.jobs import SCHEMA
from kdbench.measure.program import pack
from kdbench.measure.providers import runtime_of

Files = Mapping[str, Path]
"""SHA-256 -> path of each file that a process is given."""
Lengths = Mapping[str, int]
"""For each axis that varies, the size that examples are cut or repeated to."""
MEDIAN: Lengths = {}
"""The median of the examples themselves."""


class Client:
    """One session (provider, threads, precision ...) in one interpreter, asked in fresh processes.

    Every question blocks until its process has ended, and the process ends when this one does. A question raises
    MeasureError with the program's own sentence. Where the process died, the sentence has the signal, the runtime and
    the files. A process that had loaded modules which make its times worthless is an error, too.
    """

    def __init__(
        self,
        folder: Path,
        session: Mapping[str, Any],
        python: str | None = None,
        program: Path | None = None,
    ) -> None:
        """`folder`: scratch. `python`: another interpreter. `program`: one that is packed already.

        A session's `runtime` is the name of a third party's, registered or `file.py:Class`.
        """
        self.folder, self.session = folder, dict(session)
        self.python = python or sys.executable
        folder.mkdir(parents=True, exist_ok=True)
        brought = self.session.get("runtime") if program is None else None
        carried = find_runtime(brought).carried if brought else None
        self.program = program or pack(folder / "measure.pyz", carried)
        self._asked = {**self.session, "runtime": carried.place} if carried else self.session

    def describe(self) -> answers.Description:
        """The runtime and the machine."""
        return cast(answers.Description, self.ask("describe"))

    def time(
        self,
        files: Files,
        inputs: Path,
        batch_sizes: Sequence[int],
        number: int,
        rule: Mapping[str, int],
        lengths: Lengths = MEDIAN,
    ) -> answers.TimedProcess:
        """One process that times all files in shared rounds; `number`: which of several like processes it is.

        `rule` has the fields of a job that say how long: round_call_count, min_calls, min_ns.
        """
        fields = {**_common(files, inputs, lengths), "batch_sizes": list(batch_sizes), "process": number, **rule}
        return answers.timed_process(self.ask("time", **fields))

    def prove(
        self, files: Files, inputs: Path, batch_sizes: Sequence[int], lengths: Lengths = MEDIAN
    ) -> dict[str, OrError[answers.ProvedFile]]:
        """Which kernels ran each file where, by digest."""

        def ask(some: Files) -> dict[str, OrError[answers.ProvedFile]]:
            asked = _common(some, inputs, lengths)
            return answers.proved_files(self.ask("prove", **asked, batch_sizes=list(batch_sizes)))

        return self._each(files, ask)

    def predict(self, files: Files, inputs: Path, batch_size: int) -> dict[str, OrError[answers.Predicted]]:
        """Each file's outputs for every example, by digest; the arrays stay in the scratch folder."""
        folder = Path(tempfile.mkdtemp(prefix="predict-", dir=self.folder))

        def ask(some: Files) -> dict[str, OrError[answers.Predicted]]:
            answer = self.ask("predict", folder, **_common(some, inputs), batch_size=batch_size)
            return answers.predicted_files(answer, folder)

        return self._each(files, ask)

    def converter(self, timeout_s: float | None = None) -> dict[str, str]:
        """Package -> version of what converts files for the session's runtime in this interpreter."""
        found: dict[str, str] = self.ask("converter", timeout_s=timeout_s)["converter"]
        return found

    def convert(
        self,
        file: Files,
        inputs: Path,
        batch_sizes: Sequence[int],
        longest: Lengths,
        technique: Mapping[str, Any],
        out: Path,
    ) -> answers.Conversion:
        """One file converted into what the session's runtime reads, in the folder `out`."""
        fields = {**_common(file, inputs, longest), "batch_sizes": list(batch_sizes), "technique": dict(technique)}
        return answers.read(answers.Conversion, self.ask("convert", out, **fields))

    def memory(self, file: Files, inputs: Path, batch_size: int, lengths: Lengths = MEDIAN) -> answers.Peak:
        """Peak memory of a process with this one file."""
        return answers.read(answers.Peak, self.ask("memory", **_common(file, inputs, lengths), batch_size=batch_size))

    def start(
        self, file: Files, inputs: Path, batch_size: int, lengths: Lengths = MEDIAN, **fields: Any
    ) -> answers.Started:
        """How long this one file takes from nothing to its first answer."""
        answer = self.ask("start", **_common(file, inputs, lengths), batch_size=batch_size, **fields)
        return answers.read(answers.Started, answer)

    def energy(
        self, file: Files, inputs: Path, batch_size: int, min_ns: int, idle_ns: int, lengths: Lengths = MEDIAN
    ) -> answers.Spent:
        """Energy of calls of this one file over at least `min_ns`, and of the machine without calls over `idle_ns`."""
        window: dict[str, Any] = {"batch_size": batch_size, "min_ns": min_ns, "idle_ns": idle_ns}
        return answers.read(answers.Spent, self.ask("energy", **_common(file, inputs, lengths), **window))

    def ask(
        self, action: str, out: Path | None = None, timeout_s: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """One action's answer as JSON, as the program wrote it; into `out`, or a folder that is removed again."""
        job = {"schema": SCHEMA, "action": action, **self._asked, **fields}
        if out is None:
            with tempfile.TemporaryDirectory(prefix=f"{action}-", dir=self.folder) as folder:
                answer = run_job(job, Path(folder), self.program, self.python, timeout_s)
        else:
            answer = run_job(job, out, self.program, self.python, timeout_s)
        if answer.get("modules"):
            loaded = ", ".join(answer["modules"])
            raise MeasureError(f"the measuring process had loaded {loaded}; its times do not count.")
        return answer

    def _each(self, files: Files, ask: Callable[[Files], dict[str, OrError[Of]]]) -> dict[str, OrError[Of]]:
        """Every file's answer from one process; where that dies, each file gets a process of its own."""
        try:
            return ask(files) if files else {}
        except MeasureError as error:
            if len(files) == 1:
                return dict.fromkeys(files, error)
        alone = [self._each({digest: path}, ask) for digest, path in files.items()]
        return {digest: found for one in alone for digest, found in one.items()}


def _common(files: Files, inputs: Path, lengths: Lengths = MEDIAN) -> dict[str, Any]:
    entries = [{"digest": digest, "path": str(path)} for digest, path in files.items()]
    return {"files": entries, "inputs": str(inputs), **({"lengths": dict(lengths)} if lengths else {})}


def run_job(
    job: dict[str, Any], out: Path, program: Path, python: str = sys.executable, timeout_s: float | None = None
) -> dict[str, Any]:
    """Run one job in a fresh process of the packed `program`; returns what it wrote to `out`, a folder.

    Raises MeasureError with the program's own sentence, or saying how a process died.
    """
    out.mkdir(parents=True, exist_ok=True)
    refusal, answer = out / "error.json", out / f"{job['action']}.json"
    for earlier in (refusal, answer):
        earlier.unlink(missing_ok=True)
    request = out / "job.json"
    request.write_text(json.dumps({**job, "exit_with_parent": True}), encoding="utf-8")
    # -E: a PYTHONPATH meant for this interpreter would give another one the wrong packages
    ended = process.run([python, "-E", str(program), str(request), str(out)], timeout_s)
    if ended.code == 0 and answer.exists():
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return result
    if refusal.exists():
        raise MeasureError(json.loads(refusal.read_text(encoding="utf-8"))["error"])
    raise MeasureError(_death(job, ended))


def _death(job: dict[str, Any], ended: process.Ended) -> str:
    """How a process died, in which runtime and over which files; memory is suspected only after SIGKILL."""
    provider, files = job.get("provider", "cpu"), job.get("files", [])
    runtime = job.get("runtime", "").rpartition(":")[2] or runtime_of(provider)
    who = f"{runtime}'s process" if files else "the measuring process"
    paths = " and ".join(file["path"] for file in files) if len(files) <= 2 else f"{len(files)} files"
    over = f" of {paths}" if files else ""
    where = f"(action '{job['action']}'{over}, provider {provider})"
    how = {None: f"ended with code {ended.code}", "SIGKILL": "was killed by SIGKILL, perhaps for want of memory"}
    ending = how.get(ended.signal, f"crashed with {ended.signal}")
    said = f": {ended.last_line}." if ended.last_line else " and said nothing."
    return f"{who} {ending} {where}{said}"
