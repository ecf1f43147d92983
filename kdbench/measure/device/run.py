"""A bundle's way through a device: each step in fresh processes of the program, recorded as soon as it is finished."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, Callable

from kdbench.errors import MeasureError, Unreadable
from kdbench.files import npz_bytes, read_arrays
from kdbench.measure.client import Client, Lengths
from kdbench.measure.decisions import alike, differing
from kdbench.measure.device.answered import carried_entries, compared
from kdbench.measure.device.bundle_file import Bundle, Model
from kdbench.measure.device.record_file import Line, RecordFile

SOME_FAILED = 1
EXPECTED = {
    "classes": "class",
    "multilabel": "labels",
    "values": "values",
    "dense_classes": "class at each place",
    "token_classes": "class of each token",
    "sequence": "symbols",
    "embedding": "embedding",
}
"""By kind of output: what a device is to answer."""
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
        timing = share * manifest.seconds / manifest.processes / len(manifest.groups) / len(manifest.lengths)
        other = mean(self._took["other"])
        usual = {"time": timing + other, "start": STARTS * other}
        rest = [_action(name) for name in steps if name not in self.record.steps]
        return sum(mean(self._took.get(action, [usual.get(action, other)])) for action in rest)

    def _unpack(self) -> None:
        """Every file of the bundle into the scratch folder, verified, named by its digest alone."""
        self._bundle.put(self.manifest.inputs, self.scratch / "inputs.npz")
        for model in self.manifest.models:
            self._bundle.put(model.digest, self._path(model.digest))
            self._bundle.put(model.expected, self._expected_path(model))

    def _path(self, digest: str) -> Path:
        return self.scratch / f"{digest}.onnx"

    def _expected_path(self, model: Model) -> Path:
        return self.scratch / f"{model.expected}.npz"

    def _steps(self) -> Iterator[tuple[str, str, Callable[[], Line]]]:
        """(name, words, work) in order; what a step works on is looked up when it begins."""
        manifest, measure = self.manifest, self.header["measure"]
        for model in manifest.models:
            yield f"predict/{model.digest}", f"answers: {model.name}", partial(self._answers, model)
        for at, lengths in enumerate(manifest.lengths):
            yield from self._steps_at(at, lengths, measure)
        for model in map(manifest.model, manifest.start):
            yield f"start/{model.digest}", f"start: {model.name}", partial(self._start, model)

    def _steps_at(self, at: int, lengths: Lengths, measure: Line) -> Iterator[tuple[str, str, Callable[[], Line]]]:
        """The steps of one of the lengths to measure at, whose place is in their names."""
        groups = list(enumerate(self.manifest.groups))
        of = {place: f" (group {place + 1} of {len(groups)})" if len(groups) > 1 else "" for place, _ in groups}
        long = "".join(f", {axis} {size}" for axis, size in lengths.items())
        for place, group in groups:
            yield f"prove/{at}/{place}", f"what runs where{long}{of[place]}", partial(self._prove, group, lengths)
        for model in self.manifest.models if measure["memory"] else ():
            for size in measure["batch_sizes"]:
                words = f"memory at batch {size}{long}: {model.name}"
                yield f"memory/{at}/{model.digest}/{size}", words, partial(self._memory, model, size, lengths)
        for process in range(measure["processes"]):
            for place, group in groups:
                words = f"timing{long}, process {process + 1} of {measure['processes']}{of[place]}"
                yield f"time/{at}/{place}/{process}", words, partial(self._time, group, process, lengths)

    def _answers(self, model: Model) -> Line:
        """What a file decides of every example, and how far that and its numbers are those expected."""
        from kdbench.ragged import stored_array

        outputs, folder = self.manifest.outputs, self.scratch / "answers"
        size = self.manifest.prediction_batch_size
        answer = self._ask("predict", folder, files=self._files([model.digest]), batch_size=size)
        (entry,) = answer["files"]
        if "error" in entry:
            raise MeasureError(entry["error"])
        given = [stored_array(folder / name) for name in entry["paths"]]
        if len(given) != len(outputs):
            raise MeasureError(f"{model.name} gives {len(given)} outputs here, expected {len(outputs)}.")
        try:
            expected = read_arrays(self._expected_path(model))
        except Unreadable as error:
            raise MeasureError(f"the expected answers of {model.name} cannot be read ({error}).") from None
        found = [compared(one, number, given[number], expected) for number, one in enumerate(outputs)]
        arrays = base64.b64encode(npz_bytes(carried_entries(outputs, given))).decode()
        return {"providers_got": entry["providers_got"], "outputs": found, "arrays": arrays}

    def _prove(self, group: tuple[str, ...], lengths: Lengths) -> Line:
        files = self._files(self._alive(group))
        return self._ask("prove", files=files, batch_sizes=self._sizes(), lengths=lengths)

    def _memory(self, model: Model, size: int, lengths: Lengths) -> Line:
        return self._ask("memory", files=self._files(self._alive((model.digest,))), batch_size=size, lengths=lengths)

    def _time(self, group: tuple[str, ...], process: int, lengths: Lengths) -> Line:
        files, rule = self._files(self._alive(group)), self.header["measure"]["rule"]
        return self._ask("time", files=files, batch_sizes=self._sizes(), lengths=lengths, process=process, **rule)

    def _start(self, model: Model) -> Line:
        files, lengths = self._files(self._alive((model.digest,))), self.manifest.lengths[0]
        asked = partial(self._ask, "start", files=files, batch_size=self._sizes()[0], lengths=lengths)
        return {"processes": [asked() for _ in range(STARTS)]}

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
        answers = [line["answer"]["outputs"] for name, line in self.record.steps.items() if _gave(name, line)]
        if answers:
            furthest = max(output["max_abs_difference"] for outputs in answers for output in outputs)
            kept = [self._kept(number, answers) for number in range(len(self.manifest.outputs))]
            say(
                f"{len(answers)} of {len(self.manifest.models)} models answered; their {self.manifest.example_count} "
                f"examples have {' and '.join(kept)}, and no output lies further than {furthest:.2g} from the one "
                "expected."
            )
        say(f"Done in {span(seconds)}. At home: kdbench merge RESULTS {self.record.path.name}")

    def _kept(self, number: int, answers: list[list[Line]]) -> str:
        """What is as expected of one output, in words; with the model that is furthest off."""
        output = self.manifest.outputs[number]
        worst = min(outputs[number]["agreement_fraction"] for outputs in answers)
        named = f" of {output.name}" if number else ""
        off = "" if alike(output.kind, worst) else f" (one model {differing(output.kind, worst)})"
        return f"the {EXPECTED[output.kind]} expected{named}{off}"

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
