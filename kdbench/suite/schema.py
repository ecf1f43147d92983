"""The form of a suite file: its keys, and the JSON Schema that editors complete from. Knows no file and no plan."""

import json
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

from kdbench import registry
from kdbench.measure import providers
from kdbench.protocols.part import Part
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.suite.limits import Limits, SuiteLimits
from kdbench.suite.tolerances import SuiteTolerances

VERSION = 1
"""Of the suite format; a file of another version is refused."""
NAME = r"^\w[\w.+-]*$"
"""What suites, cases and recipes may be called: names become parts of file names, and `/` sets off a grid's values."""
TARGET_NAME = r"^[a-z][a-z0-9_]*$"
"""What an entry of `measure` may be called: it stands in its targets' ids between dashes."""
NAMED: dict[str, JsonValue] = {"propertyNames": {"pattern": NAME}}
OWN = r"\.py:\w+$"
"""How the name of a class in a user's own file ends."""
LINK = "x-ref"
"""Stands for $ref until the schema is whole: pydantic refuses a $ref to a definition that is not its own."""
ONE_TEACHER: dict[str, Any] = {"anyOf": [{LINK: "#/$defs/teacher"}, {"type": "string", "pattern": NAME}]}
Entry = TypeVar("Entry")


def _distinct(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    for index, entry in enumerate(entries):
        if entry in entries[:index]:
            raise ValueError(f"{entry} is given twice")
    return entries


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise ValueError(f"'{text}' cannot be a name: letters, digits and . _ + - only, the first a letter or digit")
    return text


Distinct = AfterValidator(_distinct)
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME})]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[int, Field(gt=0)]


def _checked_as(definition: str) -> WithJsonSchema:
    """Data that is read on its own, piece by piece; editors see the definition of that name."""
    return WithJsonSchema({LINK: f"#/$defs/{definition}"})


def _target_name(text: str) -> str:
    if not re.fullmatch(TARGET_NAME, text):
        raise ValueError(f"'{text}' cannot be a name: a small letter, then small letters, digits and _ only")
    return text


TargetName = Annotated[str, AfterValidator(_target_name), WithJsonSchema({"type": "string", "pattern": TARGET_NAME})]
Precision = Annotated[
    str,
    WithJsonSchema({"enum": sorted({word for short in providers.TABLE for word in providers.precisions_of(short)})}),
]


class MeasureEntry(Part):
    """One provider to measure on; every combination of threads and precision is a target of its own."""

    plugin: str | None = None
    """A module that brings the provider (`onnxruntime_ep_openvino`), where it is a package beside onnxruntime."""
    provider: str
    """By short name; one that only a plug-in knows may have any name here, and computes in precision `default`.
    `torch` and `torch_compiled` run the same networks in PyTorch on the CPU, as torch.export writes them, eager or
    through torch.compile (which takes a C++ compiler, and some seconds for each file, batch size and process unless
    `engine_cache` keeps what it built): marked as reference, as nobody deploys there; ONNX-only steps have no rows."""
    name: TargetName | None = None
    """What its targets' ids and tables call it, where two entries have one provider; else they say the provider."""
    threads: Annotated[tuple[Positive, ...], Distinct] = Field((1,), min_length=1)
    batch_sizes: Annotated[tuple[Positive, ...], Distinct] = Field((1,), min_length=1)
    precisions: Annotated[tuple[Precision, ...], Distinct] = Field(("fp32",), min_length=1, validate_default=True)
    """What it computes in: fp32 is never TF32, bf16 or half. Which there are depends on the provider; tensors of other
    types (a file's own int8 or half) stay what they are."""
    search: Literal["exhaustive", "heuristic", "default"] | None = None
    """How algorithms of convolutions are searched; `exhaustive` on cuda, whose own default that is."""
    engine_cache: str | None = None
    """A folder where the provider keeps what it builds; a cached engine may differ in speed from one built anew."""
    graphs: bool = False
    """Whether calls replay a captured graph of kernels (CUDA graphs)."""
    options: dict[str, str | int | float] = Field(default_factory=dict)
    """The provider's own options, given to it as they are; they win over what all other fields imply."""
    python: str | None = None
    """Another interpreter, which has numpy and onnxruntime; this one where it is left out."""
    processes: int = Field(5, ge=3)
    """Fresh processes that time each file; their spread is part of the result."""
    calls: int = Field(1000, gt=0)
    """Timed calls of each file and batch size in a process, at least."""
    seconds: float = Field(1.0, ge=0)
    """Timed seconds of each file and batch size in a process, at least."""
    memory: bool = True
    """Whether peak memory is measured too, in processes of its own."""
    start: bool = True
    """Whether a cold start is timed too (the runtime's import, the load, the first answer): three processes, one at a
    time, of each file of the first seed at the first batch size; about a second a file."""
    energy: bool = False
    """Whether energy is read too where the machine has a counter of it (NVML, RAPL; without one there is no record):
    three processes, one at a time, of each file of the first seed at each batch size; ten to twelve seconds each."""

    @field_validator("provider", "precisions", *providers.FIELDS)
    @classmethod
    def _is_offered(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses, at its own field, what the provider does not have."""
        if "provider" not in info.data and info.field_name != "provider":
            return value  # the provider is what is wrong
        asked = {"provider": info.data.get("provider"), "plugin": info.data.get("plugin"), str(info.field_name): value}
        checked = [{**asked, "precision": word} for word in value] if info.field_name == "precisions" else [asked]
        for _, sentence in (refused for one in checked for refused in providers.refusals(one)):
            raise ValueError(sentence)
        return value


class NetworkFields(Part):
    """A model and the recipe that trains it."""

    model: Annotated[Any, _checked_as("model")]
    recipe: str = "train"
    """One of the suite's recipes, by name."""


class TeacherFields(Part):
    """What others learn from: a model to train, or to give a file's weights; an ONNX file; or what a case makes."""

    model: Annotated[Any, _checked_as("model")] = None
    recipe: str = "train"
    """The suite's recipe that trains the model, by name."""
    seed: Seed = 0
    per_seed: bool = False
    """One teacher for each seed of the suite, instead of one for all."""
    weights: str | None = None
    """A state dict (.pt, .pth, .safetensors) for the model, in place of training."""
    onnx: str | None = None
    """An ONNX file that takes the task's inputs, preprocessed, and gives logits; it teaches by its outputs only."""
    case: str | None = None
    """Another case of the suite, whose student then teaches, seed by seed."""

    @model_validator(mode="after")
    def _one_kind(self) -> "TeacherFields":
        kinds = [name for name in ("model", "onnx", "case") if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError("a teacher is one of 'model', 'onnx' and 'case'" + (f", got {kinds}" if kinds else ""))
        trained = {"recipe", "seed", "per_seed"} | ({"weights"} if kinds != ["model"] else set())
        needless = sorted(trained & self.model_fields_set) if self.weights or kinds != ["model"] else []
        if needless:
            raise ValueError(f"'{needless[0]}' belongs to a teacher that is trained here; leave it out")
        return self


class CaseFields(Part):
    """A chain of steps, with a teacher, student or recipe of its own where it has one."""

    steps: tuple[Annotated[Any, _checked_as("step")], ...]
    teacher: Annotated[Any, _checked_as("teachers")] = None
    """A teacher, the name of one of the suite's `teachers`, or a list of these."""
    student: Annotated[Any, _checked_as("student")] = None
    recipe: str | None = None
    """The recipe of this case's student, in place of the student's own."""
    regularizer: Annotated[Any, _checked_as("regularizer")] = None
    """A penalty on the weights in every training of this case."""


class SuiteFields(Part):
    """A suite file, as it is written."""

    kdbench: Annotated[int, WithJsonSchema({"const": VERSION})]
    """The version of the suite format."""
    name: Name
    about: str = ""
    """What is compared here, and why, in a sentence."""
    task: Annotated[Any, _checked_as("task")]
    seeds: Annotated[tuple[Seed, ...], Distinct] = Field(min_length=1)
    recipes: dict[Name, Annotated[Any, _checked_as("recipe")]] = Field(min_length=1, json_schema_extra=NAMED)
    teacher: Annotated[Any, _checked_as("teachers")] = None
    """A teacher, the name of one of `teachers`, or a list of these; of every case that names no other."""
    teachers: dict[Name, Annotated[Any, _checked_as("teacher")]] = Field({}, json_schema_extra=NAMED)
    """Further teachers by name."""
    student: Annotated[Any, _checked_as("student")]
    baseline: str = "from-scratch"
    """The case that ratios and paired differences refer to."""
    cases: dict[Name, Annotated[Any, _checked_as("case")]] = Field(min_length=1, json_schema_extra=NAMED)
    measure: tuple[Annotated[Any, _checked_as("measure")], ...] = Field(min_length=1)
    limits: Annotated[Any, _checked_as("limits")] = None
    """What `choose` keeps to, here and in the report."""
    check: Annotated[Any, _checked_as("check")] = None
    """How much worse than a reference `check` lets a file be."""

    @field_validator("kdbench")
    @classmethod
    def _readable(cls, version: int) -> int:
        if version != VERSION:
            raise ValueError(f"this kdbench reads suites of version {VERSION}, got {version}")
        return version


def schema() -> dict[str, Any]:
    """The JSON Schema of a whole suite file, with the fields of every registered technique, model and task."""
    tolerances = SuiteTolerances.model_json_schema()
    definitions: dict[str, Any] = {
        "recipe": Recipe.model_json_schema(),
        "teacher": TeacherFields.model_json_schema(),
        "teachers": {"anyOf": [ONE_TEACHER, {"type": "array", "items": ONE_TEACHER, "minItems": 1}]},
        "regularizer": Regularizer.model_json_schema(),
        "student": NetworkFields.model_json_schema(),
        "measure": MeasureEntry.model_json_schema(),
        "limits": SuiteLimits.model_json_schema(),
        "Limits": Limits.model_json_schema(),
        "check": tolerances,
        **tolerances.pop("$defs"),
        "case": {"anyOf": [{"type": "array", "items": {LINK: "#/$defs/step"}}, CaseFields.model_json_schema()]},
        "model": _any_part("model"),
        "task": _any_part("task"),
        "step": _any_part("technique"),
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A kdbench suite"}
    unlinked = {**SuiteFields.model_json_schema(), **head, "$defs": definitions}
    linked: dict[str, Any] = json.loads(json.dumps(unlinked).replace(f'"{LINK}"', '"$ref"'))
    return linked


def _any_part(kind: str) -> dict[str, Any]:
    """A registered name, one {name: {fields}}, or the user's own `file.py:Class` in the same two forms."""
    parts = {name: _part(kind, registry.resolve(kind, name)) for name in registry.names(kind)}
    bare = [name for name, part in parts.items() if not part.get("required")]
    fields = {
        "type": "object",
        "properties": parts,
        "patternProperties": {OWN: {"type": "object"}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": bare}, {"type": "string", "pattern": OWN}, fields]}


def _part(kind: str, cls: type[Any]) -> dict[str, Any]:
    part: dict[str, Any] = cls.model_json_schema()
    if kind == "technique":
        part["properties"] = {name: _or_grid(field) for name, field in part.get("properties", {}).items()}
        if cls.form != "onnx" and cls.roles:
            part["properties"].setdefault("recipe", _or_grid({"type": "string"}))
    return part


def _or_grid(field: dict[str, Any]) -> dict[str, Any]:
    grid = {"grid": {"type": "array", "items": field, "minItems": 1}}
    return {
        "anyOf": [field, {"type": "object", "properties": grid, "required": ["grid"], "additionalProperties": False}]
    }
