"""The keys of a suite file and of everything in it, as types that check their values. Knows no file and no plan."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from kdbench.errors import KdbenchError
from kdbench.measure import providers
from kdbench.measure.carried import find_runtime
from kdbench.measure.target_id import HERE
from kdbench.protocols.part import Part
from kdbench.protocols.stored_outputs import StoredOutputs

VERSION = 1
"""The version of the suite format; a file of another is refused."""
NAME = r"^\w[\w.+-]*$"
"""Form of the names of suites, cases and recipes: they become parts of file names, and `/` sets off a grid's values."""
NAME_BYTES = 60
"""Longest name in UTF-8. Files are named after a case with its grid's values, a stage, a seed and a target, and most
file systems take 255 bytes."""
TARGET_NAME = r"^[a-z][a-z0-9_]{0,29}$"
NODE_NAME = r"^[\w.+-]{1,100}$"
"""Form of the name of an entry of `measure`: it stands in its targets' ids between dashes."""
NAMED: dict[str, JsonValue] = {"propertyNames": {"pattern": NAME, "maxLength": NAME_BYTES}}
LINK = "x-ref"
"""Stands for $ref until the schema is whole: pydantic refuses a $ref to a definition that is not its own."""
Entry = TypeVar("Entry")


def _distinct(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    seen: set[Entry] = set()
    for entry in entries:
        if entry in seen:
            raise ValueError(f"{entry} is given twice")
        seen.add(entry)
    return entries


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise ValueError(f"'{text}' cannot be a name: letters, digits and . _ + - only, the first a letter or digit")
    if len(text.encode()) > NAME_BYTES:
        raise ValueError(
            f"'{text[:20]}...' is too long for a name, from which file names are made: at most {NAME_BYTES} "
            "characters, where letters beyond a-z count as two or more"
        )
    return text


def _target_name(text: str) -> str:
    if not re.fullmatch(TARGET_NAME, text):
        shown = text if len(text) <= NAME_BYTES else f"{text[:20]}..."
        raise ValueError(
            f"'{shown}' cannot be a name: a small letter, then small letters, digits and _ only, at most 30 characters"
        )
    return text


def _node_name(text: str) -> str:
    if text == HERE or not re.fullmatch(NODE_NAME, text):
        raise ValueError(f"'{text}' cannot be a node: letters, digits and . _ + - only, and not '{HERE}'")
    return text


Distinct = AfterValidator(_distinct)
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME, "maxLength": 60})]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Threads = Annotated[int, Field(gt=0, le=4096)]
BatchSize = Annotated[int, Field(gt=0, le=1_000_000)]
AxisLength = Annotated[int, Field(gt=0, le=100_000_000)]
TargetName = Annotated[
    str,
    AfterValidator(_target_name),
    WithJsonSchema({"type": "string", "pattern": TARGET_NAME}),
]
NodeName = Annotated[str, AfterValidator(_node_name), WithJsonSchema({"type": "string", "pattern": NODE_NAME})]
Precision = Annotated[
    str,
    WithJsonSchema({"enum": sorted({word for short in providers.TABLE for word in providers.precisions_of(short)})}),
]


def _checked_as(definition: str) -> WithJsonSchema:
    """Data that is read on its own, piece by piece; editors see the definition of that name."""
    return WithJsonSchema({LINK: f"#/$defs/{definition}"})


class MeasureEntry(Part):
    """One provider to measure on; every combination of threads and precision is a target of its own."""

    plugin: str | None = None
    """The module of a package that brings the provider beside onnxruntime: `onnxruntime_ep_openvino`."""
    runtime: str | None = None
    """The runtime, where it is not the one that has the provider in kdbench's own table: `openvino` for OpenVINO by its
    own API (`provider: openvino`, precisions fp32 and bf16), a registered name, or `file.py:Class`; it says which
    providers it has. `python` then needs numpy and that runtime's library."""
    provider: str
    """The provider that runs the files, by its short name (`kdbench list providers`). A provider that only a plug-in
    brings may have any name, and computes in precision `default`. `torch` and `torch_compiled` run the networks in
    PyTorch on the CPU, as torch.export writes them, eager or through torch.compile. They are marked as reference, as
    nobody deploys there, and what changes the ONNX file has no rows on them. torch.compile needs a C++ compiler, and
    takes some seconds for each file, batch size and process unless `engine_cache` keeps what it built."""
    name: TargetName | None = None
    """The name of this entry in tables and targets, in place of the provider's; needed where two entries share one."""
    threads: Annotated[tuple[Threads, ...], Distinct] = Field((1,), min_length=1)
    """CPU threads that one call may use; each number is a target of its own."""
    batch_sizes: Annotated[tuple[BatchSize, ...], Distinct] = Field((1,), min_length=1)
    """Examples in one call; each file is timed at every one."""
    lengths: Annotated[tuple[AxisLength, ...], Distinct] = ()
    """Where examples vary in length: the lengths to time at, cut or repeated to them; each is a row of its own. Of
    frames and samples of one sound they are frames. Left out: the training split's median and longest."""
    precisions: Annotated[tuple[Precision, ...], Distinct] = Field(("fp32",), min_length=1, validate_default=True)
    """Precisions to compute float32 tensors in; each is a target of its own, and the provider decides which there are.
    fp32 is never TF32, bf16 or half. Tensors of other types (a file's own int8 or half) stay what they are."""
    search: Literal["exhaustive", "heuristic", "default"] | None = None
    """How the provider searches the fastest algorithm of a convolution; on cuda `exhaustive` where it is left out."""
    engine_cache: str | None = None
    """A folder where the provider keeps what it builds. A kept engine may differ in speed from one built anew."""
    graphs: bool = False
    """Whether calls replay a captured graph of kernels (CUDA graphs)."""
    options: dict[str, str | int | float] = Field(default_factory=dict, validate_default=True)
    """Options of the provider itself, passed on as they are; they win over what the other fields imply."""
    python: str | None = None
    """The Python that measures, with numpy and onnxruntime, where it is not the one that runs kdbench."""
    converter: str | None = None
    """The Python that makes the runtime's files, with that runtime's converter: where the runtime reads other files
    than ONNX (`litert`, `executorch`). Left out: `python`, or the one that runs kdbench."""
    node: NodeName | None = None
    """The node of a Ray cluster that evaluates and times the files, with nothing else on it meanwhile: its address, its
    host's name, or the name of a resource or the value of a label that it alone has. Needs `kdbench run --executor
    ray`; targets begin with this name in place of `local`, and `python` is a path there. Left out: the machine that the
    run is started on."""
    processes: int = Field(5, ge=3, le=1000)
    """Fresh processes that time each file; how far they differ is part of the result."""
    calls: int = Field(1000, gt=0, le=100_000_000)
    """Least number of timed calls of a file and batch size in each process."""
    seconds: float = Field(1.0, ge=0, le=86_400)
    """Least time, in seconds, that each process spends on timed calls of a file and batch size."""
    memory: bool = True
    """Whether peak memory is measured too, in processes of its own."""
    start: bool = True
    """Whether a cold start is timed too: the runtime's import, the load, the first answer. Three processes, one after
    another, for each file of the first seed at the first batch size; about a second a file."""
    energy: bool = False
    """Whether energy is read too, where the machine counts it (NVML, RAPL); elsewhere there is no record. Three
    processes, one after another, for each file of the first seed at each batch size; 10 to 12 seconds each."""

    @field_validator("runtime")
    @classmethod
    def _is_runtime(cls, value: str | None) -> str | None:
        """Refuses a name behind which there is no runtime."""
        if value is not None:
            try:
                find_runtime(value)
            except KdbenchError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("provider", "precisions", "options", *providers.FIELDS)
    @classmethod
    def _is_offered(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses, at its own field, what the provider does not have."""
        if "runtime" not in info.data or ("provider" not in info.data and info.field_name != "provider"):
            return value  # the runtime or the provider is what is wrong
        runtime = info.data["runtime"]
        table = find_runtime(runtime).cls.providers if runtime else providers.TABLE
        asked = {"provider": info.data.get("provider"), "plugin": info.data.get("plugin"), str(info.field_name): value}
        words = value if info.field_name == "precisions" else ()
        if info.field_name == "options":  # a precision may need one; `precisions` stands before them
            words = info.data.get("precisions", ())
        checked = [{**asked, "precision": word} for word in words] or [asked]
        for _, sentence in (refused for one in checked for refused in providers.refusals(one, table)):
            raise ValueError(sentence)
        return value


class ExportFields(Part):
    """How networks become ONNX files."""

    opset: int = Field(20, ge=18, le=23)
    """The version of ONNX's operators that files are written in; an older one is read by older runtimes."""


class StudentFields(Part):
    """The network, or other model, that is made small: fresh (a recipe trains it) or given (it comes with weights)."""

    model: Annotated[Any, _checked_as("model")] = None
    """A model's name (`kdbench list models`), `{name: {fields}}`, or a class of your own: `file.py:Class`, which may be
    a plain torch.nn.Module."""
    recipe: str = "train"
    """The recipe that trains it, by its name under `recipes`; for a given student the one of techniques that train it
    as long as a new one, such as distillation."""
    weights: str | None = None
    """A file with the model's weights (.pt, .pth, .safetensors) as you trained them, or the name of published ones
    (torchvision's `DEFAULT` or `IMAGENET1K_V1`; `pretrained` for timm and transformers). Nothing trains it then but
    steps that fine-tune."""
    onnx: str | None = None
    """An ONNX file that takes the task's preprocessed inputs and gives logits. Only steps on files can work on it."""
    inputs: Annotated[tuple[str, ...], Distinct] = ()
    """The inputs of the task that the model takes, by name, where it does not take all. Its file has these alone; a
    teacher may take others."""

    @model_validator(mode="after")
    def _one_kind(self) -> "StudentFields":
        if (self.model is None) == (self.onnx is None):
            raise ValueError("a student is a 'model' (with 'weights' where it is trained already), or an 'onnx' file")
        needless = sorted({"recipe", "weights", "inputs"} & self.model_fields_set) if self.onnx is not None else []
        if needless:
            raise ValueError(f"'{needless[0]}' belongs to a 'model'; an ONNX file is taken as it is, so leave it out")
        return self


class TeacherFields(Part):
    """A teacher: a model that is trained or has weights, an ONNX file, or another case's student."""

    model: Annotated[Any, _checked_as("model")] = None
    """A model's name (`kdbench list models`), `{name: {fields}}`, or a class of your own: `file.py:Class`."""
    recipe: str = "train"
    """The recipe that trains the model, by its name under `recipes`."""
    seed: Seed = 0
    """The seed of the model's training; students of every seed learn from this one teacher."""
    per_seed: bool = False
    """Whether each seed of the suite has a teacher of its own, in place of one for all."""
    weights: str | None = None
    """A file with the model's weights (.pt, .pth, .safetensors), in place of training."""
    onnx: str | None = None
    """An ONNX file that takes the task's preprocessed inputs and gives logits. It teaches by its outputs only."""
    case: str | None = None
    """A case of the suite whose student teaches, seed by seed."""
    inputs: Annotated[tuple[str, ...], Distinct] = ()
    """The inputs of the task that the model takes, by name, where it does not take all: a student may take others."""
    outputs: Annotated[tuple[str, ...], Distinct] = ()
    """The outputs of the task that the model tells, by name, where it does not tell all: it is trained on these alone.
    Of a list of teachers each output is taught by the first that tells it."""
    stored: StoredOutputs = StoredOutputs()
    """How its outputs are stored for its students: `{precision: fp16, top_k: 20}` where there are many of them."""

    @model_validator(mode="after")
    def _one_kind(self) -> "TeacherFields":
        kinds = [name for name in ("model", "onnx", "case") if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError("a teacher is one of 'model', 'onnx' and 'case'" + (f", got {kinds}" if kinds else ""))
        trained = {"recipe", "seed", "per_seed"} | ({"weights", "inputs", "outputs"} if kinds != ["model"] else set())
        needless = sorted(trained & self.model_fields_set) if self.weights or kinds != ["model"] else []
        if needless:
            raise ValueError(f"'{needless[0]}' belongs to a teacher that is trained here; leave it out")
        return self


class CaseFields(Part):
    """A chain of steps that makes one student, with a teacher, student or recipe of its own where it has one.

    A case that needs nothing but steps may be their list: `int8: [static_quantization]`. A step's field may be
    `{grid: [value, ...]}`: the case then stands for one case for each value, named `CASE/field=value`.
    """

    steps: tuple[Annotated[Any, _checked_as("step")], ...]
    """Techniques in their order, each a name (`kdbench list techniques`), `{name: {fields}}`, or `file.py:Class`. A
    step that trains may also have a field `recipe`. No step at all: a fresh student is trained on
    labels, a given one is taken as it is."""
    teacher: Annotated[Any, _checked_as("teachers")] = None
    """A teacher, the name of one of the suite's `teachers`, or a list of these; in place of the suite's `teacher`."""
    student: Annotated[Any, _checked_as("student")] = None
    """A student in place of the suite's."""
    recipe: str | None = None
    """The recipe that trains this case's student, in place of the student's own."""
    regularizer: Annotated[Any, _checked_as("regularizer")] = None
    """A penalty on the weights in every training of this case."""
    compare_with: str | None = None
    """The case that this one's ratios and differences refer to. Left out: the suite's `baseline`; for a case with
    another student, that student trained on labels alone, or as it was given."""


class SuiteFields(Part):
    """A suite: what is compared, on what data, under which recipes, and where it is measured."""

    kdbench: Annotated[int, WithJsonSchema({"const": VERSION})]
    """The version of the suite format: 1."""
    name: Name
    """The suite's name; results go to the folder results/NAME."""
    about: str = ""
    """A sentence for the report that says what is compared here, and why."""
    task: Annotated[Any, _checked_as("task")]
    """The data: a name (`kdbench list tasks`), `{name: {fields}}`, or a class of your own: `file.py:Class`."""
    split_by: dict[str, Annotated[tuple[Name, ...], Distinct]] = Field({})
    """Runs the suite once for each group, `{speaker: [jackson, theo]}`: students learn and are judged on the examples
    alone whose `speaker` is jackson, then theo, into the folders results/NAME/jackson and results/NAME/theo. Teachers
    that are trained learn from everybody. The task needs a field `only`, as `audio_folder`, `text_file`, `table` and
    `array_files` have: its column, or array, says whose an example is."""
    seeds: Annotated[tuple[Seed, ...], Distinct] = Field((0,), min_length=1)
    """Each case is trained once a seed; intervals in the report need three or more. Left out: 0. A case that trains
    nothing (a given student, through steps that do not train) has one row, whatever stands here."""
    recipes: dict[Name, Annotated[Any, _checked_as("recipe")]] = Field({}, json_schema_extra=NAMED)
    """How models are trained, by name. Students and teachers use `train` unless they name another; techniques that
    train a network further use `finetune`. Left out where nothing is trained."""
    teacher: Annotated[Any, _checked_as("teachers")] = None
    """The teacher of every case that names no other: a teacher, the name of one of `teachers`, or a list of these."""
    teachers: dict[Name, Annotated[Any, _checked_as("teacher")]] = Field({}, json_schema_extra=NAMED)
    """Further teachers, by name."""
    student: Annotated[Any, _checked_as("student")]
    """The student of every case that names no other."""
    baseline: str | None = None
    """The case that the others are compared with. Left out: `from-scratch`, or `as-given` where the student is given;
    the latter is added where `cases` do not name it."""
    cases: dict[Name, Annotated[Any, _checked_as("case")]] = Field(min_length=1, json_schema_extra=NAMED)
    """The chains of techniques that are compared, by name."""
    export: Annotated[Any, _checked_as("export")] = None
    """How networks become ONNX files."""
    measure: tuple[Annotated[Any, _checked_as("measure")], ...] = Field(min_length=1)
    """Where files are evaluated and timed."""
    limits: Annotated[Any, _checked_as("limits")] = None
    """Upper limits on what a file may cost on a device; `kdbench choose` and the report's answer keep to them."""
    check: Annotated[Any, _checked_as("check")] = None
    """How much worse than the reference a file may be before `kdbench check` objects."""

    @field_validator("kdbench")
    @classmethod
    def _readable(cls, version: int) -> int:
        if version != VERSION:
            raise ValueError(f"this kdbench reads suites of version {VERSION}, got {version}")
        return version
