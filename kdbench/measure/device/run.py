"""A bundle's way through a device: each step in fresh processes of the program, recorded as soon as it is finished."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, Callable

from kdbench.errors import MeasureError, Unreadable
from kdbench.files import read_array
from kdbench.measure.client import Client
from kdbench.measure.device.bundle_file import Bundle, Model
from kdbench.measure.device.record_file import Line, RecordFile

SOME_FAILED = 1
STARTS = 3
"""Fresh processes that time one file's start."""


class Passage:
    """One pass over everything the bundle asks for; steps that the record has already are not done again."""

    def __init__(self, bundle: Bundle, record: RecordFile, header: Line, client: Client, process_s: float) -> None:
        """`client` asks in the header's session; `process_s`: seconds of a process that does next to nothing."""
        self.manifest, self.record, self.header = bundle.manifest, record, header
        self.client, self.scratch = client, client.folder
        self._bundle = bundle
        self._took: dict[str, list[float]] = {"other": [process_s]}
        """Action -> seconds of each step of it so far."""

    def run(self) -> int:
        """Do what is left; returns the exit code."""
        if self.record.finished:
            say(f"{self.record.path} holds a whole run of this bundle already; nothing is left to do.")
            return self._code()
        begin = time.monotonic()
        steps = {name: (words, work) for name, words, work in self._steps()}
        self._introduce(steps)
        self._unpack()
        for number, (name, (words, work)) in enumerate(steps.items(), start=1):
            if name not in self.record.steps:
                start = time.monotonic()
                self.record.add(name, _attempt(work))
                seconds = time.monotonic() - start
                self._took.setdefault(_action(name), []).append(seconds)
                error = self.record.steps[name].get("error")
                ending = f"failed: {error}" if error else f"{seconds:.1f} s"
                say(f"[{number}/{len(steps)}] {words}: {ending}; about {span(self._left(steps))} left")
        self.record.end()
        self._conclude(time.monotonic() - begin)
        return self._code()

    def _introduce(self, steps: Iterable[str]) -> None:
        say(
            f"{len(self.manifest.models)} models of '{self.manifest.suite}' on {self.header['target']}: about "
            f"{span(self._left(steps))}, if it runs them as fast as the machine that the bundle comes from."
        )
        if self.record.steps:
            say(f"{len(self.record.steps)} steps are in {self.record.path} already; going on.")

    def _left(self, steps: Iterable[str]) -> float:
        """Seconds that the rest takes: like steps as long as those that were done, timing before that as at home."""
        measure, manifest = self.header["measure"], self.manifest
        share: float = measure["rule"].get("min_calls", 1) / max(1, manifest.rule.get("min_calls", 1))
        timing = share * manifest.seconds / manifest.processes / len(manifest.groups)
        other = mean(self._took["other"])
        usual = {"time": timing + other, "start": STARTS * other}
        rest = [_action(name) for name in steps if name not in self.record.steps]
        return sum(mean(self._took.get(action, [usual.get(action, other)])) for action in rest)

    def _unpack(self) -> None:
        """Every file of the bundle into the scratch folder, verified, named by its digest alone."""
        self._bundle.put(self.manifest.inputs, self.scratch / "inputs.npz")
        for model in self.manifest.models:
            self._bundle.put(model.digest, self._path(model.digest))
            self._bundle.put(model.expected, self.scratch / f"{model.expected}.npy")

    def _path(self, digest: str) -> Path:
        return self.scratch / f"{digest}.onnx"

    def _steps(self) -> Iterator[tuple[str, str, Callable[[], Line]]]:
        """(name, words, work) in order; what a step works on is looked up when it begins."""
        manifest, measure = self.manifest, self.header["measure"]
        for model in manifest.models:
            yield f"predict/{model.digest}", f"answers: {model.name}", partial(self._answers, model)
        for place, group in enumerate(manifest.groups):
            several = f" (group {place + 1} of {len(manifest.groups)})" if len(manifest.groups) > 1 else ""
            yield f"prove/{place}", f"what runs where{several}", partial(self._prove, group)
        for model in manifest.models if measure["memory"] else ():
            for size in measure["batch_sizes"]:
                name = f"memory/{model.digest}/{size}"
                yield name, f"memory at batch {size}: {model.name}", partial(self._memory, model, size)
        for process in range(measure["processes"]):
            for place, group in enumerate(manifest.groups):
                several = f", group {place + 1} of {len(manifest.groups)}" if len(manifest.groups) > 1 else ""
                words = f"timing, process {process + 1} of {measure['processes']}{several}"
                yield f"time/{place}/{process}", words, partial(self._time, group, process)
        for model in map(manifest.model, manifest.start):
            yield f"start/{model.digest}", f"start: {model.name}", partial(self._start, model)

    def _answers(self, model: Model) -> Line:
        """The classes a file gives, and how they and its logits compare with those at bundling."""
        import numpy

        size = self.manifest.prediction_batch_size
        answer = self._ask("predict", self.scratch / "answers", files=self._files([model.digest]), batch_size=size)
        got = numpy.load(self.scratch / "answers" / f"{model.digest}-0.npy", allow_pickle=False)
        expected = self._expected(model)
        if got.shape != expected.shape or got.ndim != 2:
            raise MeasureError(f"{model.name} gives outputs of shape {got.shape} here, expected {expected.shape}.")
        classes = got.argmax(1)
        return {
            "providers_got": answer["files"][0]["providers_got"],
            "classes": classes.tolist(),
            "max_abs_difference": float(numpy.abs(got - expected).max()),
            "agreement_fraction": float((classes == expected.argmax(1)).mean()),
        }

    def _expected(self, model: Model) -> Any:
        """The outputs (N, C) that a model gave when the bundle was made. Raises MeasureError where these are none."""
        try:
            expected = read_array(self.scratch / f"{model.expected}.npy")
        except Unreadable as error:
            raise MeasureError(f"the expected outputs of {model.name} cannot be read ({error}).") from None
        if expected.dtype.kind != "f":
            raise MeasureError(f"the expected outputs of {model.name} are {expected.dtype}, not numbers.")
        return expected

    def _prove(self, group: tuple[str, ...]) -> Line:
        return self._ask("prove", files=self._files(self._alive(group)), batch_sizes=self._sizes())

    def _memory(self, model: Model, size: int) -> Line:
        return self._ask("memory", files=self._files(self._alive((model.digest,))), batch_size=size)

    def _time(self, group: tuple[str, ...], process: int) -> Line:
        files = self._files(self._alive(group))
        rule = self.header["measure"]["rule"]
        return self._ask("time", files=files, batch_sizes=self._sizes(), process=process, **rule)

    def _start(self, model: Model) -> Line:
        files, size = self._files(self._alive((model.digest,))), self._sizes()[0]
        return {"processes": [self._ask("start", files=files, batch_size=size) for _ in range(STARTS)]}

    def _alive(self, group: tuple[str, ...]) -> list[str]:
        """Files that gave answers: one that ends its process must not take the others along."""
        found = [digest for digest in group if "error" not in self.record.steps[f"predict/{digest}"]]
        if not found:
            raise MeasureError("it gives no answers here, so nothing else is measured.")
        return found

    def _files(self, digests: list[str]) -> list[dict[str, str]]:
        return [{"digest": digest, "path": str(self._path(digest))} for digest in digests]

    def _sizes(self) -> list[int]:
        sizes: list[int] = self.header["measure"]["batch_sizes"]
        return sizes

    def _ask(self, action: str, out: Path | None = None, **fields: Any) -> Line:
        """One action in a fresh process, as JSON: what a device records is read and judged at home."""
        try:
            answer = self.client.ask(action, out, inputs=str(self.scratch / "inputs.npz"), **fields)
        except MeasureError as error:
            raise MeasureError(self._without_scratch(str(error))) from None
        for entry in answer.get("files", ()):
            if "error" in entry:
                entry["error"] = self._without_scratch(entry["error"])
        return answer

    def _without_scratch(self, sentence: str) -> str:
        """A sentence with models' names for their files, and no path of the device."""
        for model in self.manifest.models:
            sentence = sentence.replace(str(self._path(model.digest)), model.name)
        return sentence.replace(str(self.scratch), "the scratch folder")

    def _conclude(self, seconds: float) -> None:
        answers = [line["answer"] for name, line in self.record.steps.items() if _gave(name, line)]
        if answers:
            same = min(answer["agreement_fraction"] for answer in answers)
            furthest = max(answer["max_abs_difference"] for answer in answers)
            classes = "the class expected" if same == 1 else f"the class expected (of one model {100 * same:.1f} %)"
            say(
                f"{len(answers)} of {len(self.manifest.models)} models answered; their {len(self.manifest.targets)} "
                f"examples have {classes}, and no output lies further than {furthest:.2g} from the one expected."
            )
        say(f"Done in {span(seconds)}. At home: kdbench merge RESULTS {self.record.path.name}")

    def _code(self) -> int:
        lines = self.record.steps.values()
        failed = [line for line in lines if "error" in line or _failures(line["answer"])]
        return SOME_FAILED if failed else 0


def _action(step: str) -> str:
    return step.partition("/")[0]


def _gave(name: str, line: Line) -> bool:
    return name.startswith("predict/") and "answer" in line


def _failures(answer: Line) -> list[Line]:
    return [entry for entry in answer.get("files", ()) if "error" in entry]


def _attempt(work: Callable[[], Line]) -> Line:
    """A step's answer, or the sentence that says why it has none: one file's failure is not the next one's."""
    try:
        return {"answer": work()}
    except MeasureError as error:
        return {"error": str(error)}


def span(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 120 else f"{round(whole / 60)} min"


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)
