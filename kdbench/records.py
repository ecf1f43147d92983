"""Records: one JSON line a fact, one type a kind, units in the field names. The file is the result; all else is a view.

Schema history
1  first.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from kdbench.errors import RecordError

SCHEMA = 1
STATUSES = ("ok", "failed", "skipped")
TEACHER = "teacher"
"""The case name that is reserved for the rows of the suite's teacher."""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From schema n to n + 1, one step each; history is never handled anywhere else."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What every line says: whose fact it is, and where it came from.

    `target` is absent for facts that belong to no target (training). A record whose status is not "ok" carries
    `reason`, one sentence, and none of its kind's own fields.
    """

    KIND: ClassVar[str] = ""
    REQUIRED: ClassVar[tuple[str, ...]] = ()
    """Own fields that a record with status "ok" must have."""

    suite: str
    case: str
    seed: int
    key: str
    target: str | None = None
    status: str = "ok"
    reason: str | None = None
    created_utc: str | None = None
    fingerprint: str | None = None
    lineage: tuple[str, ...] = ()
    """Keys of the stages this fact rests on, from the data down."""
    steps: tuple[dict[str, Any], ...] = ()
    """The case's chain: one {name: fields} a step."""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise RecordError(f"a record's status is one of {', '.join(STATUSES)}, got {self.status!r}.")
        if self.status == "ok":
            missing = [name for name in self.REQUIRED if getattr(self, name) is None]
            if missing:
                raise RecordError(f"a record of kind {self.KIND} lacks {', '.join(missing)}.")
        elif not self.reason:
            raise RecordError(f"a {self.status} record says its reason.")


@dataclass(frozen=True, kw_only=True)
class Accuracy(Record):
    """How often one ONNX file is right on one split, as its target's runtime computes it."""

    KIND = "accuracy"
    REQUIRED = ("metric", "direction", "value", "split", "runtime", "example_count")

    metric: str | None = None
    direction: str | None = None
    """"higher" or "lower" is better."""
    value: float | None = None
    """A rate, 0 to 1."""
    correct_count: int | None = None
    example_count: int | None = None
    split: str | None = None
    """"validation" or "test"."""
    runtime: str | None = None
    """The runtime, its version and the provider, as text."""
    teacher_agreement_fraction: float | None = None
    """Share of examples on which this file and the teacher's file give the same class."""
    origin_value: float | None = None
    """`value` of the uncompressed student's file: the same seed's network before its first step of compression."""
    origin_agreement_fraction: float | None = None
    """Share of examples on which this file and the uncompressed student's file give the same class."""
    max_abs_logit_difference: float | None = None
    """Largest difference between this file's logits and those of the torch model that was exported."""
    predictions_path: str | None = None
    """Within the results folder: an .npz with `{split}` (predicted class) and `{split}_targets`."""
    origin_predictions_path: str | None = None
    """Within the results folder: the same of the uncompressed student's file."""


@dataclass(frozen=True, kw_only=True)
class Size(Record):
    """How big one ONNX file is."""

    KIND = "size"
    REQUIRED = ("parameter_count", "nonzero_parameter_count", "onnx_bytes", "onnx_gzip_bytes", "mac_rule")

    parameter_count: int | None = None
    """Of the network that was exported; where steps on the file followed, or it was exported with integers, of the
    file itself, in which batch normalisation is folded into the weights before it."""
    nonzero_parameter_count: int | None = None
    """Of those, how many are not zero; an integer that stands for zero is zero."""
    weight_bytes_by_dtype: dict[str, int] | None = None
    """Of all constants of the file."""
    quantized_weight_fraction: float | None = None
    """Share of the weights (two axes or more) that are stored in 8 bits or fewer."""
    layer_count: int | None = None
    """Convolutions and matrix products whose weights the file stores."""
    float_layer_count: int | None = None
    """Of those, how many have floating-point weights."""
    onnx_bytes: int | None = None
    onnx_gzip_bytes: int | None = None
    """gzip at level 6."""
    onnx_zstd_bytes: int | None = None
    """zstd at level 3."""
    mac_count: int | None = None
    """Multiply-accumulates of one example, by `mac_rule`; absent where that says why there are none to count."""
    mac_rule: str | None = None
    input_shapes: tuple[tuple[int, ...], ...] | None = None
    onnx_path: str | None = None
    """Within the results folder."""
    onnx_sha256: str | None = None
    origin: dict[str, Any] | None = None
    """Of a compressed student: what this record says of the same seed's uncompressed file, under the same names."""


@dataclass(frozen=True, kw_only=True)
class Latency(Record):
    """Raw timings of one file on one target at one batch size, with its references' of the same rounds."""

    KIND = "latency"
    REQUIRED = (
        "provider_asked",
        "providers_got",
        "batch_size",
        "samples_ns",
        "runtime",
        "runtime_version",
        "precision",
    )

    provider_asked: str | None = None
    providers_got: tuple[str, ...] | None = None
    node_count_by_provider: dict[str, int] | None = None
    """Kernels that ran in one inference, from the profile of a session beside the timed ones."""
    kernel_ns_by_provider: dict[str, int] | None = None
    int8_kernel_fraction: float | None = None
    """Share of convolution and matrix-multiply kernels that ran in int8."""
    runtime: str | None = None
    runtime_version: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    input_shapes: tuple[tuple[int, ...], ...] | None = None
    """With the batch axis."""
    threads_intra: int | None = None
    threads_inter: int | None = None
    graph_optimization: str | None = None
    load_ns: tuple[int, ...] | None = None
    """One a process."""
    first_inference_ns: tuple[int, ...] | None = None
    warmup_ns: tuple[tuple[int, ...], ...] | None = None
    samples_ns: tuple[tuple[int, ...], ...] | None = None
    """[process][i]: one call each, in the order they were made."""
    round_call_count: int | None = None
    """Calls in a row before the next file's turn: sample i belongs to round i // round_call_count."""
    reference_samples_ns: dict[str, tuple[tuple[int, ...], ...]] | None = None
    """sha256 of a reference file -> its samples in the same processes and rounds."""
    references: dict[str, str] | None = None
    """"baseline", "teacher" -> sha256 of that reference file."""
    thread_cpu_ns: tuple[tuple[int, ...], ...] | None = None
    """[process][round]: CPU time of the calling thread over a round's calls; one-thread CPU targets only."""
    repeat: int = 0
    load_average: tuple[float, ...] | None = None
    """One-minute load when each process began."""
    other_cpu_fraction: tuple[float, ...] | None = None
    """Share of the machine's processor time that other processes took while each process timed."""
    affinity: tuple[int, ...] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Memory(Record):
    """Peak resident memory of a fresh process that loads one file and runs it at one batch size."""

    KIND = "memory"
    REQUIRED = ("peak_rss_bytes", "import_rss_bytes", "batch_size")

    peak_rss_bytes: int | None = None
    import_rss_bytes: int | None = None
    """The same process's peak before the file was loaded."""
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Training(Record):
    """What one stage of training cost and how it went."""

    KIND = "training"
    REQUIRED = ("wall_ns", "cpu_ns", "epoch_count", "device")

    wall_ns: int | None = None
    cpu_ns: int | None = None
    epoch_count: int | None = None
    terms_by_epoch: tuple[dict[str, float], ...] | None = None
    """Mean of each weighted loss term over an epoch's examples."""
    validation_by_epoch: tuple[float, ...] | None = None
    selected_epoch: int | None = None
    """The epoch (from 1) whose weights left the training."""
    selection: str | None = None
    """"last" or "validation"."""
    device: str | None = None
    recipe: dict[str, Any] | None = None
    teacher_forward_count: int | None = None
    """Examples whose teacher outputs were not stored and were computed during this training."""


@dataclass(frozen=True, kw_only=True)
class Compression(Record):
    """What one technique did to a model it was given, and what that cost; its training, if any, has its own record."""

    KIND = "compression"
    REQUIRED = ("technique", "wall_ns", "cpu_ns")

    technique: str | None = None
    fields: dict[str, Any] | None = None
    """Of the technique, those that were `auto` decided for where the file runs."""
    wall_ns: int | None = None
    cpu_ns: int | None = None
    removed_channel_fraction: float | None = None
    """Share of the convolutions' and linear layers' output channels that is gone, as it came out."""
    zero_weight_fraction: float | None = None
    notes: tuple[str, ...] = ()
    """What the technique says to the reader: which tensors a transfer matched, say."""


@dataclass(frozen=True, kw_only=True)
class Teaching(Record):
    """What storing a teacher's outputs cost, once for all that learn from them."""

    KIND = "teaching"
    REQUIRED = ("wall_ns", "cpu_ns", "teacher_forward_count")

    wall_ns: int | None = None
    cpu_ns: int | None = None
    teacher_forward_count: int | None = None
    """Examples (one view each) that went through the teacher."""


@dataclass(frozen=True, kw_only=True)
class Environment(Record):
    """The machine behind a fingerprint, once each; it belongs to no case."""

    KIND = "environment"
    REQUIRED = ("fingerprint", "facts")

    case: str = ""
    seed: int = 0
    facts: dict[str, Any] | None = None
    """What must agree before numbers are pooled: processor, runtime, versions, flags."""
    also: dict[str, Any] | None = None
    """What is only said: governor, RAM, Python and package versions, commit, OMP_*."""


TYPES: dict[str, type[Record]] = {
    cls.KIND: cls for cls in (Accuracy, Size, Latency, Memory, Training, Compression, Teaching, Environment)
}


def to_line(record: Record) -> str:
    """A record as one line of JSON, without what is absent."""
    fields = {
        field.name: value for field in dataclasses.fields(record) if (value := getattr(record, field.name)) is not None
    }
    return json.dumps({"schema": SCHEMA, "kind": record.KIND, **fields}, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> Record:
    """The record of a line, migrated to this schema.

    Raises RecordError when the line is no record, or from a newer kdbench.
    """
    try:
        data = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:
        raise RecordError(f"not a record: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise RecordError("not a record: a JSON object with 'schema' was expected.")
    return _from_data(_migrate(data))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed: what is missing is left out")


def _migrate(data: dict[str, Any]) -> dict[str, Any]:
    schema = data["schema"]
    if schema > SCHEMA:
        raise RecordError(
            f"these records have schema {schema}, this kdbench reads up to {SCHEMA}; use a newer kdbench."
        )
    for version in range(schema, SCHEMA):
        data = MIGRATIONS[version](data)
    return data


def _from_data(data: dict[str, Any]) -> Record:
    cls = TYPES.get(data.get("kind", ""))
    if cls is None:
        raise RecordError(f"there is no record kind {data.get('kind')!r}; known: {', '.join(TYPES)}.")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = data.keys() - known - {"schema", "kind"}
    if unknown:
        raise RecordError(f"a record of kind {cls.KIND} has no field {', '.join(sorted(unknown))}.")
    try:
        return cls(**{name: _frozen(data[name]) for name in known & data.keys()})
    except TypeError as error:
        raise RecordError(f"a record of kind {cls.KIND} is incomplete: {error}.") from None


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return value


def read(path: Path) -> list[Record]:
    """Every record of a file; a last line that a kill tore is dropped.

    Raises RecordError with the line's number when any other line cannot be understood.
    """
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            records.append(from_line(line.decode()))
        except (RecordError, UnicodeDecodeError) as error:
            if number == len(lines):
                break
            raise RecordError(f"{path}:{number}: {error}") from None
    return records


def append(path: Path, records: Iterable[Record]) -> None:
    """Add records to a file, cutting off a last line that a kill tore."""
    text = "".join(to_line(record) + "\n" for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        _mend(file)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _mend(file: Any) -> None:
    """Cut an open file back to its last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    file.truncate(end)
