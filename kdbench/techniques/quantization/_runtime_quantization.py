"""What quantizations by a runtime's own converter share. Nothing is applied here: the conversion goes by the fields."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Effect, Technique


class RuntimeQuantization(Technique):
    """Quantized while a file is made for one runtime, by that runtime's quantizer."""

    form: ClassVar[Literal["torch", "onnx", "artefact"]] = "artefact"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Jacob et al. 2018, Quantization and Training of Neural Networks, section 2"
    effects: ClassVar[frozenset[Effect]] = frozenset({"rounding"})
    roles: ClassVar[frozenset[str]] = frozenset()

    activations: Literal["static", "dynamic"] = "static"
    """Whether activations have ranges found beforehand, or are rounded anew in every call."""
    samples: int = Field(128, gt=0)
    """Training examples that ranges are found on; with `activations: dynamic` none is used."""
