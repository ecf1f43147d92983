"""The action `time`: every file of a job loaded, run once, timed in shared rounds, its timed answers read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure import host
from kdbench.measure.clock import Timing, time_rounds
from kdbench.measure.decisions import agreement, decide
from kdbench.measure.form import Form
from kdbench.measure.inputs import load_inputs
from kdbench.measure.jobs import File, Job
from kdbench.measure.runtimes import open_session
from kdbench.measure.runtimes.contract import Bound, Feed, Session, all_finite
from kdbench.measure.session_spec import SessionSpec


def time_files(job: Job) -> dict[str, Any]:
    """Raw times of every file at every batch size; a file that fails says why and the others go on."""
    inputs = load_inputs(job.inputs)
    files = [_TimedFile(file, job.session) for file in job.files]
    gauge = host.Gauge()
    for batch_size in job.batch_sizes:
        feeds = inputs.feeds(batch_size, lengths=job.lengths)
        _time_batch_size(job, inputs.form, feeds, files)
    return {"process": job.process, **gauge.read(), "files": [timed.result for timed in files]}


def _time_batch_size(job: Job, form: Form, feeds: list[Feed], files: list[_TimedFile]) -> None:
    one_thread = job.session.runs_in_caller and job.session.threads_intra == 1
    ready = [(timed, bound) for timed in files if (bound := timed.prepare(feeds)) is not None]
    timings = time_rounds(
        [bound for _, bound in ready],
        job.rule,
        process=job.process,
        cpu_clock=time.thread_time_ns if one_thread else None,
    )
    for (timed, bound), timing in zip(ready, timings):
        timed.keep(len(next(iter(feeds[0].values()))), timing, bound, feeds, form)


def _outputs(bound: Bound, batch_count: int) -> list[list[Any]]:
    """[batch][output] of the last timed call on each batch. Raises MeasureError where one is NaN or infinite."""
    found = [bound.outputs(number) for number in range(batch_count)]
    if not all(map(all_finite, found)):
        raise MeasureError("the timed calls gave outputs that are not finite.")
    return found


class _TimedFile:
    """One file's session, for as long as it works, and its part of the result."""

    def __init__(self, file: File, spec: SessionSpec) -> None:
        self.result: dict[str, Any] = {"digest": file.digest}
        self._session: Session | None = None
        self._first: dict[str, Any] = {}
        with self._failing():
            path = file.verified_path()
            begin = time.perf_counter_ns()
            self._session = open_session(path, spec)
            load_ns = time.perf_counter_ns() - begin
            got = {"provider_asked": self._session.provider_asked, "providers_got": self._session.providers_got}
            self.result.update({**got, "provider_options": spec.provider_options(), "load_ns": load_ns, "by_batch": {}})

    def prepare(self, feeds: list[Feed]) -> Bound | None:
        """Run once, timed apart, and bind; None for a file that has failed."""
        if self._session is None:
            return None
        with self._failing():
            feed = self._session.own(feeds[0])
            begin = time.perf_counter_ns()
            self._session.run(feed)
            first_ns = time.perf_counter_ns() - begin
            shapes = [list(array.shape) for array in feed.values()]
            self._first = {"input_shapes": shapes, "first_inference_ns": first_ns}
            return self._session.bind(feeds)
        return None

    def keep(self, batch_size: int, timing: Timing, bound: Bound, feeds: list[Feed], form: Form) -> None:
        """Put a batch size's raw times into the result, and what the timed calls answered."""
        with self._failing():
            if timing.error is not None:
                raise MeasureError(timing.error)
            outputs = _outputs(bound, min(bound.batch_count, len(timing.samples_ns)))
            self.result["by_batch"][str(batch_size)] = {
                **self._first,
                "warmup_ns": timing.warmup_ns,
                "warmup_total_ns": timing.warmup_total_ns,
                "samples_ns": timing.samples_ns,
                "thread_cpu_ns": timing.thread_cpu_ns or None,
                **self._answers(outputs, feeds, form),
                "warnings": timing.warnings,
            }

    def _answers(self, outputs: list[list[Any]], feeds: list[Feed], form: Form) -> dict[str, Any]:
        """What the timed calls answered, by the first output.

        Classes of whole examples can be compared with what was evaluated. Other answers, and those to examples that
        were cut or repeated, are compared here, with calls that are not timed.
        """
        first = form.outputs[0]
        if first.kind == "classes" and not form.varying:
            return {"classes": [batch[0].reshape(len(batch[0]), -1).argmax(1).tolist() for batch in outputs]}
        import numpy

        assert self._session is not None
        plain = [self._session.run_checked(feed)[0] for feed in feeds[: len(outputs)]]
        timed = [batch[0] for batch in outputs]
        decided = (decide(first.kind, numpy.concatenate(batches), first.blank) for batches in (timed, plain))
        return {"agreement_fraction": agreement(first.kind, *decided)}

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """A failure ends this file's part: its sentence is all that is left of it."""
        try:
            yield
        except MeasureError as error:
            self._session = None
            self.result = {"digest": self.result["digest"], "error": str(error)}
