"""The wishes that a file is converted with into what another runtime reads. Knows no runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.measure.inputs import Inputs


@dataclass(frozen=True)
class Wishes:
    """What a converted file must run on, and how it is quantized on the way."""

    inputs: Inputs
    """Training examples: they show shapes and types, and calibrate what is quantized."""
    batch_sizes: tuple[int, ...] = (1,)
    """Sizes at which the file will be asked, besides any that it is evaluated in."""
    longest: Mapping[str, int] = field(default_factory=dict)
    """For each axis that varies, the size of the longest example."""
    technique: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the runtime's own technique; empty where the file stays in float."""


@dataclass(frozen=True)
class Converted:
    """A file that a conversion wrote."""

    path: Path
    shipped: bytes
    """The content that would be handed over to a device: one file, without what kdbench keeps beside it."""
    weight_bytes_by_dtype: Mapping[str, int]
    """Bytes of its constants by their type, as numpy calls it."""
    quantized_weight_fraction: float
    """Share of its weights (two axes or more) that are stored in 8 bits or fewer."""
    notes: tuple[str, ...] = ()
    """Sentences to the reader."""
