"""The kinds of record: one type each, units in the field names. Knows no file and no JSON."""

from dataclasses import dataclass
from typing import Any, ClassVar

from kdbench.errors import RecordError

STATUSES = ("ok", "failed", "skipped")


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
    split_example_count: int | None = None
    """How many examples the whole split has, where a device answered a sample of it."""
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
    home_agreement_fraction: float | None = None
    """On a device: share of its examples with the class that onnxruntime's CPU provider gave when the bundle was made.
    """
    max_abs_home_difference: float | None = None
    """On a device: largest difference from the logits computed then."""
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
    assigned_node_count_by_provider: dict[str, int] | None = None
    """Nodes of the file's graph that each provider was given, before fusion; absent where the runtime does not tell. A
    subgraph is many of these, and one kernel."""
    kernel_ns_by_provider: dict[str, int] | None = None
    """Of an asynchronous provider (on a GPU), the time of starting its kernels."""
    int8_kernel_fraction: float | None = None
    """Share of convolution and matrix-multiply kernels that ran in int8."""
    effective_precision: str | None = None
    """What the convolutions and matrix products were computed in, as far as the runtime tells: "fp32", "int8+fp32"."""
    provider_options: dict[str, str] | None = None
    """What the provider was told."""
    answers_agreement_fraction: float | None = None
    """Share of the timed examples that the timed sessions gave the same class as the evaluated one."""
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
    """"baseline", "teacher", "origin" (the same seed's uncompressed file) -> sha256 of that reference file."""
    thread_cpu_ns: tuple[tuple[int, ...], ...] | None = None
    """[process][round]: CPU time of the calling thread over a round's calls; one-thread CPU targets only."""
    reference_thread_cpu_ns: dict[str, tuple[tuple[int, ...], ...]] | None = None
    """sha256 of a reference file -> the same of its calls in the same rounds."""
    repeat: int = 0
    load_average: tuple[float, ...] | None = None
    """One-minute load when each process began."""
    other_cpu_fraction: tuple[float, ...] | None = None
    """Share of the machine's processor time that other processes took while each process timed."""
    steal_fraction: tuple[float, ...] | None = None
    """Share of the machine's processor time that its host withheld while each process timed."""
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
class Start(Record):
    """From nothing to the first answer: fresh processes that load one file alone and run it once."""

    KIND = "start"
    REQUIRED = ("runtime_import_ns", "load_ns", "first_inference_ns", "batch_size")

    batch_size: int | None = None
    runtime_import_ns: tuple[int, ...] | None = None
    """Importing the runtime; one a process, like all below."""
    load_ns: tuple[int, ...] | None = None
    first_inference_ns: tuple[int, ...] | None = None
    engine_build_ns: int | None = None
    """Load and first inference of a process that found no cached engine, less those of the processes after it; only of
    providers that build one."""


@dataclass(frozen=True, kw_only=True)
class Energy(Record):
    """What a counter of the machine read over calls of one file alone, in processes of their own."""

    KIND = "energy"
    REQUIRED = ("counter", "batch_size", "call_count", "energy_uj", "wall_ns")

    counter: str | None = None
    """"nvml" (the whole GPU) or "rapl" (the whole processor package)."""
    batch_size: int | None = None
    call_count: tuple[int, ...] | None = None
    """One a process, like all below."""
    energy_uj: tuple[int, ...] | None = None
    """Microjoules over all calls, the machine's idle power included."""
    wall_ns: tuple[int, ...] | None = None
    idle_energy_uj: tuple[int, ...] | None = None
    """The same counter over `idle_wall_ns` without calls, just before."""
    idle_wall_ns: tuple[int, ...] | None = None


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
    cls.KIND: cls
    for cls in (Accuracy, Size, Latency, Start, Memory, Energy, Training, Compression, Teaching, Environment)
}
