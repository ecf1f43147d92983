"""The measuring program's answers as types: each action's JSON is read into one of them, here alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Union

from kdbench.errors import MeasureError

if TYPE_CHECKING:
    from kdbench.ragged import Stored

Json = dict[str, Any]
Counts = Mapping[str, int]
Of = TypeVar("Of")
OrError = Union[Of, MeasureError]
"""One file's answer, or the sentence that says why it has none: the other files of a process go on."""


class Description(TypedDict):
    """Action `describe`: the runtime and the machine. A dictionary, because it is cached and recorded as JSON."""

    runtime: str
    runtime_version: str
    build_info: str
    providers_available: list[str]
    facts: Json
    """Facts that must agree before numbers are pooled."""
    also: Json
    fingerprint: str
    """A digest of `facts`."""
    versions: dict[str, str]


@dataclass(frozen=True)
class Timing:
    """Action `time`: one file at one batch size in one process, raw."""

    input_shapes: Sequence[Sequence[int]]
    first_inference_ns: int
    warmup_ns: Sequence[int]
    """The first calls of the warm-up."""
    samples_ns: Sequence[int]
    """One call each, in the order they were made."""
    classes: Sequence[Sequence[int]] | None = None
    """[batch][example]: the class that the last timed call on each batch gave, where examples are of one size and the
    first output is classes."""
    agreement_fraction: float | None = None
    """Else: how far the timed calls' first output decides what calls that are not timed decide on the same batches."""
    thread_cpu_ns: Sequence[int] | None = None
    """The calling thread's processor time, one a round; None where calls use other threads too."""
    warmup_total_ns: int | None = None
    """Sum over all calls of the warm-up; None in records of older bundles, which list every call."""
    warnings: Sequence[str] = ()
    """Words for faults that only the process can notice: it knows how many calls were asked for."""


@dataclass(frozen=True)
class TimedFile:
    """Action `time`: one file in one process."""

    digest: str
    provider_asked: str
    providers_got: Sequence[str]
    load_ns: int
    by_batch: Mapping[int, Timing]
    provider_options: Mapping[str, str] | None = None


@dataclass(frozen=True)
class TimedProcess:
    """Action `time`: one process, and who else used the machine meanwhile."""

    runtime: str
    runtime_version: str
    files: Mapping[str, OrError[TimedFile]]
    """By digest."""
    load_average: float | None = None
    """One-minute load when the process began; None, like the fields below, where the system does not tell."""
    other_cpu_fraction: float | None = None
    """Share of the machine's processor time that other processes took."""
    steal_fraction: float | None = None
    """Share of the machine's processor time that its host withheld."""
    affinity: Sequence[int] | None = None


@dataclass(frozen=True)
class Kernels:
    """Action `prove`: what ran in one call at one batch size; None where the runtime does not tell."""

    node_count_by_provider: Counts
    assigned_node_count_by_provider: Counts | None = None
    kernel_ns_by_provider: Counts | None = None
    int8_kernel_fraction: float | None = None
    effective_precision: str | None = None
    execution_note: str | None = None


@dataclass(frozen=True)
class ProvedFile:
    """Action `prove`: which provider ran one file."""

    digest: str
    provider_asked: str
    providers_got: Sequence[str]
    by_batch: Mapping[int, Kernels]
    runtime: str
    runtime_version: str


@dataclass(frozen=True)
class Predicted:
    """Action `predict`: where one file's outputs lie, each a .npy of float32, one row an example."""

    digest: str
    providers_got: Sequence[str]
    paths: tuple[Path, ...]
    """One an output; with offsets beside it where axis 1 varies."""

    def outputs(self) -> list[Stored]:
        """For each output (N, ...), or N answers (places, ...), in the examples' order."""
        from kdbench.ragged import stored_array

        return [stored_array(path) for path in self.paths]


@dataclass(frozen=True)
class Conversion:
    """Action `convert`: the file that was made, and facts on it."""

    path: str
    """Its name in the folder where the process wrote."""
    shipped_bytes: int
    """Bytes of what is handed over to a device."""
    shipped_gzip_bytes: int
    """gzip at level 6."""
    weight_bytes_by_dtype: Counts
    quantized_weight_fraction: float
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Peak:
    """Action `memory`: resident memory of a process with one file."""

    batch_size: int
    import_rss_bytes: int
    """The peak before the file was loaded."""
    peak_rss_bytes: int


@dataclass(frozen=True)
class Started:
    """Action `start`: from an interpreter with numpy to one file's first answer."""

    batch_size: int
    runtime_import_ns: int
    load_ns: int
    first_inference_ns: int


@dataclass(frozen=True)
class Spent:
    """Action `energy`: what a counter read over calls of one file, and over a while without calls."""

    counter: str
    batch_size: int
    call_count: int
    energy_uj: int
    """Microjoules."""
    wall_ns: int
    idle_energy_uj: int
    idle_wall_ns: int


def timed_process(answer: Json) -> TimedProcess:
    """The answer of action `time`."""
    return read(TimedProcess, answer, files=_by_digest(answer, timed_file))


def timed_file(entry: Json) -> TimedFile:
    """One entry of it."""
    timings = {int(size): read(Timing, timing) for size, timing in entry["by_batch"].items()}
    return read(TimedFile, entry, by_batch=timings)


def proved_files(answer: Json) -> dict[str, OrError[ProvedFile]]:
    """The answer of action `prove`, by digest."""
    ran_in = {name: answer[name] for name in ("runtime", "runtime_version")}
    return _by_digest(answer, lambda entry: proved_file(entry, **ran_in))


def proved_file(entry: Json, runtime: str, runtime_version: str) -> ProvedFile:
    """One entry of it."""
    kernels = {int(size): read(Kernels, ran) for size, ran in entry["by_batch"].items()}
    return read(ProvedFile, entry, by_batch=kernels, runtime=runtime, runtime_version=runtime_version)


def predicted_files(answer: Json, folder: Path) -> dict[str, OrError[Predicted]]:
    """The answer of action `predict`, by digest; `folder` is where the process wrote."""
    return _by_digest(
        answer, lambda entry: read(Predicted, entry, paths=tuple(folder / name for name in entry["paths"]))
    )


def read(form: type[Of], data: Mapping[str, Any], **made: Any) -> Of:
    """A dataclass from the fields that JSON gives it, beside those that are `made`; JSON's further ones are left out.

    Raises MeasureError where one is missing: the program that answered is not this one.
    """
    fields = dataclasses.fields(form)  # type: ignore[arg-type]  # every form is a dataclass
    given = {field.name: data[field.name] for field in fields if field.name in data}
    try:
        return form(**{**given, **made})
    except TypeError as error:
        raise MeasureError(f"the measuring program's answer is not whole ({error}).") from None


def _by_digest(answer: Json, make: Any) -> dict[str, Any]:
    return {
        entry["digest"]: MeasureError(entry["error"]) if "error" in entry else make(entry) for entry in answer["files"]
    }
