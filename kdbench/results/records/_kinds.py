"""The kinds of facts: one type each, units in the field names. Knows no file and no JSON.

What every record of a kind has is a field without a default. What may be missing is None: it was not asked for, the
runtime or the system does not tell it, or the record is of a kdbench that did not keep it. A collection is then empty.
"""

from dataclasses import dataclass, field
from typing import Any

from kdbench.results.records._call_size import CallSize
from kdbench.results.records._labels import Environment, Labelled, Record


@dataclass(frozen=True, kw_only=True)
class Score(Labelled):
    """How good one file's answers to a split are by one metric, as its target's runtime computes them."""

    KIND = "score"

    metric: str
    """Its registered name, or the `file.py:Class` of a suite."""
    label: str = ""
    """What sentences call it; empty where the metric's own label tells."""
    direction: str
    """"higher" or "lower" is better."""
    unit: str = "fraction"
    """"fraction": 0 to 1, shown in per cent; else the value's own unit, "" for a plain number."""
    output: str = ""
    """The output of the task that is judged; empty for the first."""
    decides: bool = True
    """Whether it is the task's first metric, by which cases are compared and chosen."""
    added: bool = False
    """Whether the task names no such metric, and `kdbench score` added it to a finished run."""
    value: float | None = None
    undefined: str | None = None
    """Why there is no value."""
    correct_count: int | None = None
    """How many examples it is right on; absent for a metric that does not count."""
    example_count: int
    split_example_count: int | None = None
    """How many examples the whole split has, where a device answered a sample of it."""
    split: str
    """"validation" or "test"."""
    runtime: str
    """The runtime, its version and the provider, as text."""
    teacher_agreement_fraction: float | None = None
    """How far this file and the teacher's file decide alike (`kdbench.measure.decisions.agreement`)."""
    origin_value: float | None = None
    """`value` of the uncompressed student's file: the same seed's network before its first step of compression."""
    origin_agreement_fraction: float | None = None
    """How far this file and the uncompressed student's file decide alike."""
    max_abs_logit_difference: float | None = None
    """Largest difference between this file's outputs and those of the torch model that was exported."""
    home_agreement_fraction: float | None = None
    """On a device: share of its examples with the class that onnxruntime's CPU provider gave when the bundle was made.
    """
    max_abs_home_difference: float | None = None
    """On a device: largest difference from the outputs computed then."""
    predictions_path: str | None = None
    """Within the results folder: an .npz (`kdbench.results.predictions`)."""
    origin_predictions_path: str | None = None
    """Within the results folder: the predictions of the uncompressed student's file."""


@dataclass(frozen=True, kw_only=True)
class Size(Labelled):
    """How big one ONNX file is."""

    KIND = "size"

    parameter_count: int
    """Parameters of the exported network. Where steps changed the file, or it was exported with integers, they are
    counted in the file, in which batch normalisation is folded into the weights before it."""
    nonzero_parameter_count: int
    """How many of them are not zero. An integer that stands for zero is zero."""
    weight_bytes_by_dtype: dict[str, int] = field(default_factory=dict)
    """Bytes of all constants of the file, by their type."""
    quantized_weight_fraction: float
    """Share of the weights (two axes or more) that are stored in 8 bits or fewer."""
    layer_count: int | None = None
    """Convolutions and matrix products whose weights the file stores."""
    float_layer_count: int | None = None
    """How many of these layers have floating-point weights."""
    onnx_bytes: int
    onnx_gzip_bytes: int
    """gzip at level 6."""
    onnx_zstd_bytes: int | None = None
    """zstd at level 3."""
    artefact: str = ""
    """The ending of what the exported file's network was converted to for the target's runtime; empty for the ONNX file
    itself. `weight_bytes_by_dtype` and `quantized_weight_fraction` are then of what it was converted to."""
    artefact_bytes: int | None = None
    """Bytes of that, as it is handed over to a device that asks for one example a call."""
    artefact_gzip_bytes: int | None = None
    mac_count: int | None = None
    """Multiply-accumulates of one example, by `mac_rule`; absent where that says why there are none to count."""
    mac_rule: str
    input_shapes: tuple[tuple[int, ...], ...] = ()
    padding_difference: float | None = None
    """Where examples differ in length: the largest difference between the answers to an example alone and in a batch
    of longer ones, relative to the largest number of the output (at least 1)."""
    notes: tuple[str, ...] = ()
    """Sentences about the exported file to the reader."""
    onnx_path: str
    """Within the results folder: the file that the target's runtime reads."""
    onnx_sha256: str
    """Of that file."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Fields of this record for the same seed's uncompressed file; empty unless the student was compressed."""

    @property
    def file_bytes(self) -> int:
        """Bytes of the file that the target's runtime reads."""
        return self.onnx_bytes if self.artefact_bytes is None else self.artefact_bytes

    @property
    def gzip_bytes(self) -> int:
        """The same, compressed by gzip."""
        return self.onnx_gzip_bytes if self.artefact_gzip_bytes is None else self.artefact_gzip_bytes

    @property
    def zstd_bytes(self) -> int | None:
        """The same, compressed by zstd, where that was recorded."""
        return self.onnx_zstd_bytes if not self.artefact else None


@dataclass(frozen=True, kw_only=True)
class Latency(Labelled):
    """Raw timings of one file on one target at one batch size, with its references' of the same rounds."""

    KIND = "latency"

    provider_asked: str
    providers_got: tuple[str, ...]
    node_count_by_provider: dict[str, int] = field(default_factory=dict)
    """Kernels that ran in one inference, from the profile of a session beside the timed ones."""
    assigned_node_count_by_provider: dict[str, int] = field(default_factory=dict)
    """Nodes of the file's graph that each provider was given, before fusion; absent where the runtime does not tell. A
    subgraph is many of these, and one kernel."""
    kernel_ns_by_provider: dict[str, int] = field(default_factory=dict)
    """Time of the kernels that ran. An asynchronous provider (on a GPU) tells only how long starting them took."""
    int8_kernel_fraction: float | None = None
    """Share of convolution and matrix-multiply kernels that ran in int8."""
    effective_precision: str | None = None
    """What the convolutions and matrix products were computed in, as far as the runtime tells: "fp32", "int8+fp32"."""
    execution_note: str | None = None
    """What else decided how it was computed: TensorRT's version and rule, integers that ran as float kernels."""
    provider_options: dict[str, str] = field(default_factory=dict)
    """The provider's options, as they were set."""
    answers_agreement_fraction: float | None = None
    """Share of the timed examples that the timed sessions gave the same class as the evaluated one."""
    runtime: str
    runtime_version: str
    precision: str
    batch_size: int
    lengths: dict[str, int] = field(default_factory=dict)
    """For each axis that varies, the size that examples were cut or repeated to."""
    input_shapes: tuple[tuple[int, ...], ...] = ()
    """With the batch axis."""
    threads_intra: int | None = None
    threads_inter: int | None = None
    graph_optimization: str | None = None
    load_ns: tuple[int, ...] = ()
    """One a process."""
    first_inference_ns: tuple[int, ...] = ()
    warmup_ns: tuple[tuple[int, ...], ...] = ()
    """[process][i]: the first calls of the warm-up; in older records all of them."""
    warmup_total_ns: tuple[int, ...] = ()
    """All calls of each process's warm-up together; absent in older records."""
    samples_ns: tuple[tuple[int, ...], ...]
    """[process][i]: one call each, in the order they were made."""
    round_call_count: int = 1
    """Calls in a row before the next file's turn: sample i belongs to round i // round_call_count."""
    reference_samples_ns: dict[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    """sha256 of a reference file -> its samples in the same processes and rounds."""
    references: dict[str, str] = field(default_factory=dict)
    """"baseline", "teacher", "origin" (the same seed's uncompressed file) -> sha256 of that reference file."""
    thread_cpu_ns: tuple[tuple[int, ...], ...] = ()
    """[process][round]: CPU time of the calling thread over a round's calls; one-thread CPU targets only."""
    reference_thread_cpu_ns: dict[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    """sha256 of a reference file -> CPU time of the calling thread over its calls in the same rounds."""
    repeat: int = 0
    load_average: tuple[float, ...] = ()
    """One-minute load when each process began."""
    other_cpu_fraction: tuple[float, ...] = ()
    """Share of the machine's processor time that other processes took while each process timed."""
    steal_fraction: tuple[float, ...] = ()
    """Share of the machine's processor time that its host withheld while each process timed."""
    affinity: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def call_size(self) -> CallSize:
        """Examples in a call, and their lengths."""
        return CallSize.of(self.batch_size, self.lengths)


@dataclass(frozen=True, kw_only=True)
class Memory(Labelled):
    """Peak resident memory of a fresh process that loads one file and runs it at one batch size."""

    KIND = "memory"

    peak_rss_bytes: int
    import_rss_bytes: int
    """The process's peak before the file was loaded."""
    batch_size: int
    lengths: dict[str, int] = field(default_factory=dict)

    @property
    def call_size(self) -> CallSize:
        """Examples in a call, and their lengths."""
        return CallSize.of(self.batch_size, self.lengths)


@dataclass(frozen=True, kw_only=True)
class Start(Labelled):
    """From nothing to the first answer: fresh processes that load one file alone and run it once."""

    KIND = "start"

    batch_size: int
    lengths: dict[str, int] = field(default_factory=dict)
    runtime_import_ns: tuple[int, ...]
    """Importing the runtime; one a process, like all below."""
    load_ns: tuple[int, ...]
    first_inference_ns: tuple[int, ...]
    engine_build_ns: int | None = None
    """Load and first inference of a process that found no cached engine, less those of the processes after it; only of
    providers that build one."""

    @property
    def call_size(self) -> CallSize:
        """Examples in a call, and their lengths."""
        return CallSize.of(self.batch_size, self.lengths)


@dataclass(frozen=True, kw_only=True)
class Energy(Labelled):
    """Energy that a counter of the machine read over calls of one file alone, in processes of their own."""

    KIND = "energy"

    counter: str
    """"nvml" (the whole GPU) or "rapl" (the whole processor package)."""
    batch_size: int
    lengths: dict[str, int] = field(default_factory=dict)
    call_count: tuple[int, ...]
    """One a process, like all below."""
    energy_uj: tuple[int, ...]
    """Microjoules over all calls, the machine's idle power included."""
    wall_ns: tuple[int, ...]
    idle_energy_uj: tuple[int, ...] = ()
    """What the counter read just before, over `idle_wall_ns` without calls."""
    idle_wall_ns: tuple[int, ...] = ()

    @property
    def call_size(self) -> CallSize:
        """Examples in a call, and their lengths."""
        return CallSize.of(self.batch_size, self.lengths)


@dataclass(frozen=True, kw_only=True)
class Training(Labelled):
    """The cost and the course of one stage of training."""

    KIND = "training"

    wall_ns: int
    cpu_ns: int
    epoch_count: int
    terms_by_epoch: tuple[dict[str, float], ...] = ()
    """Mean of each weighted loss term over an epoch's examples."""
    validation_by_epoch: tuple[float, ...] = ()
    selected_epoch: int | None = None
    """The epoch (from 1) whose weights left the training."""
    selection: str | None = None
    """"last" or "validation"."""
    device: str
    recipe: dict[str, Any] = field(default_factory=dict)
    teacher_forward_count: int | None = None
    """Examples whose teacher outputs were not stored and were computed during this training."""


@dataclass(frozen=True, kw_only=True)
class Compression(Labelled):
    """How one technique changed a model, and what that cost. If it trained, the training has a record of its own."""

    KIND = "compression"

    technique: str
    fields: dict[str, Any] = field(default_factory=dict)
    """The technique's fields. Those that were `auto` are as they were decided for where the file runs."""
    wall_ns: int
    cpu_ns: int
    removed_channel_fraction: float | None = None
    """Share of the convolutions' and linear layers' output channels that is gone, as it came out."""
    zero_weight_fraction: float | None = None
    notes: tuple[str, ...] = ()
    """Sentences of the technique to the reader, such as which tensors a transfer matched."""


@dataclass(frozen=True, kw_only=True)
class Teaching(Labelled):
    """The cost of storing a teacher's outputs, once for all that learn from them."""

    KIND = "teaching"

    wall_ns: int
    cpu_ns: int
    teacher_forward_count: int
    """Examples (one view each) that went through the teacher."""
    notes: tuple[str, ...] = ()
    """Sentences about what was stored, for whoever reads the results."""


TYPES: dict[str, type[Record]] = {
    cls.KIND: cls for cls in (Score, Size, Latency, Start, Memory, Energy, Training, Compression, Teaching, Environment)
}
