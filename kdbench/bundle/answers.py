"""The form that a device's record must have. Whoever wrote it, only what fits these types is believed."""

import base64
import binascii
import io
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictStr,
    ValidationError,
    model_validator,
)

from kdbench.errors import MeasureError, RecordError, Unreadable
from kdbench.files import arrays_of
from kdbench.measure import answers
from kdbench.measure.answers import OrError
from kdbench.measure.device.record_file import Line, Recorded
from kdbench.ragged import from_entries


def _tuple(value: Any) -> Any:
    """JSON's lists as tuples, which strict fields ask for."""
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


Listed = BeforeValidator(_tuple)
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A count, or nanoseconds."""
AtLeastOne = Annotated[int, Field(ge=1, le=2**53)]
Fraction = Annotated[FiniteFloat, Field(ge=0, le=1)]
Positive = Annotated[FiniteFloat, Field(ge=0)]
Text = Annotated[StrictStr, Field(max_length=1000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BatchSize = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
"""A whole number, as JSON's keys spell it."""
Counts = dict[Text, Count]
Group = tuple[int, str]
"""The place of the lengths that files were measured at, and the name of those that were timed together."""
MOST_BYTES = 2**30
"""The most that the arrays of one step may take, unpacked."""


class Answer(BaseModel):
    """What every answer has in common: types are strict, and unknown fields are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Measure(Answer):
    """What the device was asked to measure."""

    batch_sizes: Annotated[tuple[AtLeastOne, ...], Listed, Field(min_length=1)]
    lengths: Annotated[tuple[dict[Text, AtLeastOne], ...], Listed, Field(min_length=1)]
    """For each axis that varies a size; the places in this list stand in the steps' names."""
    processes: AtLeastOne
    memory: bool
    start: bool
    rule: Counts

    @property
    def round_call_count(self) -> int:
        return max(1, self.rule.get("round_call_count", 1))


class Sample(Answer):
    """The examples that the device answered."""

    digest: Digest
    example_count: AtLeastOne


class Header(Answer):
    """The record's first line."""

    bundle: Digest
    suite: Text
    device: Text
    target: Text
    session: dict[Text, Any]
    measure: Measure
    sample: Sample
    runtime: Text
    runtime_version: Text
    versions: dict[Text, Text]
    facts: dict[Text, Any]
    also: dict[Text, Any]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    created_utc: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")]


class Compared(Answer):
    """How far one output's answers are those at bundling (`kdbench.measure.decisions.agreement`)."""

    agreement_fraction: Annotated[FiniteFloat, Field(ge=-1, le=1)]
    max_abs_difference: Positive


class Predicted(Answer):
    """Step predict: what a file's outputs decide of each example, and how these compare with what was expected."""

    outputs: Annotated[tuple[Compared, ...], Listed, Field(min_length=1)]
    arrays: Annotated[StrictStr, Field(max_length=2**30)]
    """An .npz (`kdbench.measure.device.answered`) as base64."""

    @cached_property
    def entries(self) -> dict[str, Any]:
        """Its arrays. Raises Unreadable."""
        try:
            return arrays_of(io.BytesIO(base64.b64decode(self.arrays, validate=True)), MOST_BYTES)
        except binascii.Error as error:
            raise Unreadable(f"it is no base64: {error}") from None

    def decisions(self, number: int) -> Any:
        """Those of one output; None where it has none."""
        return from_entries(self.entries, str(number))

    def numbers(self, number: int) -> Any:
        """One output's numbers, where they were asked for."""
        return from_entries(self.entries, f"{number}_outputs")


class Kernels(Answer):
    """What ran in one call at one batch size."""

    node_count_by_provider: Counts
    kernel_ns_by_provider: Counts
    int8_kernel_fraction: Fraction | None = None
    assigned_node_count_by_provider: Counts | None = None
    effective_precision: Text | None = None
    execution_note: Text | None = None


class FileAnswer(Answer):
    """What a process says of one of its files, or why it says nothing."""

    digest: Digest
    error: Annotated[str, Field(max_length=4000)] | None = None


class ProvedFile(FileAnswer):
    provider_asked: Text = ""
    providers_got: Annotated[tuple[Text, ...], Listed] = ()
    by_batch: dict[BatchSize, Kernels] = {}


class Proved(Answer):
    """Step prove: which kernels ran where."""

    files: Annotated[tuple[ProvedFile, ...], Listed]

    def made(self, runtime: str, runtime_version: str) -> dict[str, OrError[answers.ProvedFile]]:
        """As the client of the measuring program gives it, by digest."""
        ran_in = {"runtime": runtime, "runtime_version": runtime_version}
        return answers.proved_files({**ran_in, "files": [file.model_dump(exclude_none=True) for file in self.files]})


class Timing(Answer):
    """One file at one batch size in one process."""

    input_shapes: Annotated[tuple[tuple[Count, ...], ...], Listed]
    first_inference_ns: Count
    warmup_ns: Annotated[tuple[Count, ...], Listed]
    warmup_total_ns: Count | None = None
    samples_ns: Annotated[tuple[AtLeastOne, ...], Listed, Field(min_length=1)]
    thread_cpu_ns: Annotated[tuple[Count, ...], Listed] | None = None
    classes: Annotated[tuple[tuple[Count, ...], ...], Listed, Field(min_length=1)] | None = None
    agreement_fraction: Annotated[FiniteFloat, Field(ge=-1, le=1)] | None = None
    warnings: Annotated[tuple[Text, ...], Listed] = ()

    @model_validator(mode="after")
    def _answers_are_told(self) -> "Timing":
        if self.classes is None and self.agreement_fraction is None:
            raise ValueError("it says nothing of what the timed calls answered")
        return self


class TimedFile(FileAnswer):
    provider_asked: Text = ""
    providers_got: Annotated[tuple[Text, ...], Listed] = ()
    provider_options: dict[Text, Text] | None = None
    load_ns: Count = 0
    by_batch: dict[BatchSize, Timing] = {}


class Timed(Answer):
    """Step time: one process of a group."""

    process: Count
    files: Annotated[tuple[TimedFile, ...], Listed]
    own_cpu_fraction: Positive = 0.0
    other_cpu_fraction: Fraction | None = None
    steal_fraction: Fraction | None = None
    load_average: Positive | None = None
    affinity: Annotated[tuple[Count, ...], Listed] | None = None

    @model_validator(mode="after")
    def _same_rounds(self) -> "Timed":
        """Files of one process and batch size took the same rounds, else their ratios would mean nothing."""
        for size in {size for file in self.files for size in file.by_batch}:
            timings = [file.by_batch[size] for file in self.files if size in file.by_batch]
            if len({len(timing.samples_ns) for timing in timings}) > 1:
                raise ValueError(f"files of one process were called unequally often at batch {size}")
            if any(str(len(batch)) != size for timing in timings for batch in timing.classes or ()):
                raise ValueError(f"a batch of {size} has another number of answers")
        return self

    @property
    def digests(self) -> set[str]:
        return {file.digest for file in self.files}

    def made(self, runtime: str, runtime_version: str) -> answers.TimedProcess:
        """As the client of the measuring program gives it."""
        said = self.model_dump(exclude_none=True)
        return answers.timed_process({**said, "runtime": runtime, "runtime_version": runtime_version})


class Peak(Answer):
    """Step memory."""

    batch_size: AtLeastOne
    import_rss_bytes: Count
    peak_rss_bytes: Count

    def made(self) -> answers.Peak:
        """As the client of the measuring program gives it."""
        return answers.Peak(**self.model_dump())


class Started(Answer):
    """One process of step start."""

    batch_size: AtLeastOne
    runtime_import_ns: Count
    load_ns: Count
    first_inference_ns: Count

    def made(self) -> answers.Started:
        """As the client of the measuring program gives it."""
        return answers.Started(**self.model_dump())


class Answers:
    """A record's header and steps in their forms; a step that failed is a MeasureError with its sentence."""

    def __init__(self, recorded: Recorded, place: str) -> None:
        """Raises RecordError for what has not its form; `place`: the record's name."""
        self.header = _read_as(Header, recorded.header, f"{place}:1")
        self.predicted: dict[str, Predicted | MeasureError] = {}
        self.proved: dict[Group, Proved | MeasureError] = {}
        self.timed: dict[Group, list[Timed | MeasureError]] = {}
        """Group -> its processes."""
        self.memory: dict[tuple[int, str, int], Peak | MeasureError] = {}
        """By place of the lengths, file and batch size."""
        self.started: dict[str, list[Started] | MeasureError] = {}
        for step, line in recorded.steps.items():
            self._add(step.split("/"), line, f"{place}, step {step[:100]}")

    def _add(self, step: list[str], line: Line, place: str) -> None:
        error = MeasureError(str(line["error"])[:1000]) if "error" in line else None
        answer = line.get("answer")
        match step:
            case ["predict", digest]:
                self.predicted[digest] = error or _read_as(Predicted, answer, place)
            case ["prove", at, group] if self._is_place(at):
                self.proved[int(at), group] = error or _read_as(Proved, answer, place)
            case ["time", at, group, _] if self._is_place(at):
                self.timed.setdefault((int(at), group), []).append(error or _read_as(Timed, answer, place))
            case ["memory", at, digest, size] if self._is_place(at) and size.isdecimal():
                self.memory[int(at), digest, int(size)] = error or _read_as(Peak, answer, place)
            case ["start", digest]:
                self.started[digest] = error or _processes(answer, place)
            case _:
                raise RecordError(f"{place}: this record is damaged: there is no such step.")

    def _is_place(self, at: str) -> bool:
        """Whether it is the place of lengths that the header names."""
        return at.isdecimal() and int(at) < len(self.header.measure.lengths)

    @property
    def digests(self) -> set[str]:
        """Every file that an answer is of."""
        timed = {digest for group in self.timed.values() for t in group if isinstance(t, Timed) for digest in t.digests}
        return {*self.predicted, *timed, *self.started, *(digest for _, digest, _ in self.memory)}


def _processes(answer: Any, place: str) -> list[Started]:
    listed = answer.get("processes") if isinstance(answer, dict) else None
    return [_read_as(Started, each, place) for each in (listed if isinstance(listed, list) and listed else [None])]


Form = TypeVar("Form", bound=Answer)


def _read_as(form: type[Form], data: Any, place: str) -> Form:
    """Data in its form. Raises RecordError naming the place and the field that does not fit."""
    try:
        return form.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise RecordError(
            f"{place}{f', {field}' if field else ''}: this record is damaged: {first['msg']}; copy it from the device "
            "again."
        ) from None
