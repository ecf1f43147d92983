"""The files of a teacher's stored outputs, and looking outputs up in them."""

import json
from pathlib import Path
from typing import Self

import numpy as np
import torch

from kdbench.protocols import Outputs, TaskDescription
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.ragged import Array, Index, Ragged, Stored, stored_array
from kdbench.stages._output_forms import OutputForm, forms_of, rows_at

CODES = "codes.npy"
"""int64 (n,), rising: index * view_count + view of each stored row."""
FORM = "form.json"
"""How the rows are stored; absent where they are what the teacher gave."""
PROBABILITIES = "probabilities"
"""A file that is there where the stored logits are logarithms of what the teacher gave."""


class StoredTable:
    """A teacher's outputs by code, mapped."""

    def __init__(self, codes: Index, forms: list[OutputForm], columns: list[list[Stored]], probabilities: bool) -> None:
        """columns: for each form, its arrays of n rows; probabilities: whether the teacher gave probabilities."""
        self.codes, self.columns, self.gave_probabilities = codes, columns, probabilities
        self._forms = forms

    @classmethod
    def open(cls, folder: Path, task: TaskDescription) -> Self:
        """Map what a teach stage left in its folder."""
        described = folder / FORM
        fields = json.loads(described.read_text(encoding="utf-8")) if described.exists() else {}
        forms, codes = forms_of(task, StoredOutputs.from_fields(fields)), np.load(folder / CODES, mmap_mode="r")
        columns = [[stored_array(path) for path in files(folder, form, number)] for number, form in enumerate(forms)]
        return cls(codes, forms, columns if len(codes) else [], (folder / PROBABILITIES).exists())

    @property
    def varies(self) -> bool:
        """Whether rows are of unequal length, so that looked-up ones are padded as long as their own longest."""
        return any(isinstance(column, Ragged) for columns in self.columns for column in columns)

    def find(self, codes: Index) -> tuple[Array, Array]:
        """Where codes (B,) are among the stored ones, and which of them are there, bool (B,)."""
        if not len(self.codes):
            return np.zeros(len(codes), np.int64), np.zeros(len(codes), bool)
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return places, self.codes[places] == codes

    def outputs(self, places: Array, device: torch.device) -> Outputs:
        """The outputs in some rows."""
        return tuple(
            form.unpacked([rows_at(column, places) for column in columns], device)
            for form, columns in zip(self._forms, self.columns, strict=True)
        )

    def as_stored(self, outputs: Outputs) -> Outputs:
        """Outputs that nobody stored, as they would be looked up."""
        return tuple(
            form.unpacked(form.packed(output), output.device) for form, output in zip(self._forms, outputs, strict=True)
        )


def files(folder: Path, form: OutputForm, number: int) -> list[Path]:
    """Where a task's output of that number is stored."""
    return [folder / f"{name}{number}.npy" for name in form.file_names]
