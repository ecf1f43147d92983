"""Reads texts, one or a pair an example, and makes ids of tokens of them with the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.handover.predicting.example import (
    FOLDER,
    BadInput,
    Example,
    Examples,
    Manifest,
    answering_outputs,
    class_number,
    given_inputs,
    leave_out,
)
from kdbench.handover.predicting.example import settings as settings_of
from kdbench.tasks.row_files import SUFFIXES, Numbered, OddRow, rows_of

READS = "TSV, CSV or JSON lines files with the columns of training, or .txt with a text a line"
USUAL = {"text": "text", "pair": "pair", "labels": ["label"], "header": []}


def read(path: str, manifest: Manifest) -> Examples:
    """Every text of a file. Raises BadInput where it cannot be read or lacks a column."""
    said = settings_of(manifest, "text")
    columns = {**USUAL, **said.get("columns", {})}
    names = [columns["text"], *([columns["pair"]] if said["pair"] else [])]
    encode = encoder(manifest)
    for number, row in _rows(path, columns["header"], names):
        place = f"{path}:{number}"
        lacking = [name for name in names if name not in row]
        if lacking:
            raise BadInput(f"{place}: there is no column '{lacking[0]}'; the model reads {' and '.join(names)}.")
        if any(not row[name].strip() for name in names):
            leave_out(f"{place}: the text is empty.")
        else:
            targets = _targets(row, columns["labels"], manifest, place)
            yield Example(place, encode([row[name] for name in names]), targets)


def read_words(texts: Sequence[str], manifest: Manifest) -> Examples:
    """The text, or pair of texts, of the command line. Raises BadInput for more or fewer."""
    wanted = 2 if settings_of(manifest, "text")["pair"] else 1
    if len(texts) != wanted:
        raise BadInput(f"--text takes {wanted} text{'s' * (wanted > 1)} for this model, got {len(texts)}; quote each.")
    if not all(text.strip() for text in texts):
        raise BadInput("--text: the text is empty.")
    yield Example(" | ".join(texts), encoder(manifest)(list(texts)))


def encoder(manifest: Manifest) -> Any:
    """From one or two texts to the model's stored inputs: cut as in training, the token that ends a text kept."""
    try:
        import tokenizers
    except ImportError:
        raise BadInput("reading texts needs the package tokenizers; type: pip install tokenizers.") from None
    said = settings_of(manifest, "text")
    tokenizer = tokenizers.Tokenizer.from_file(str(FOLDER / "task" / said["tokenizer"]))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def encode(texts: list[str]) -> tuple[Any, ...]:
        found = tokenizer.encode(texts[0], texts[1] if len(texts) > 1 else None)
        made = {"values": found.ids, "segments": found.type_ids}
        return tuple(_cut(made[one.get("role", "values")], said["max_length"]) for one in given_inputs(manifest))

    return encode


def _cut(ids: list[int], most: int) -> Any:
    return np.array([*ids[: most - 1], ids[-1]] if len(ids) > most else ids, np.int32)


def _rows(path: str, header: Sequence[str], names: list[str]) -> Numbered:
    suffix = Path(path).suffix.lower()
    if suffix not in (".txt", *SUFFIXES):
        raise BadInput(f"{path} ends in none of .txt, {', '.join(SUFFIXES)}; give a single text with --text.")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from _lines(file, names) if suffix == ".txt" else rows_of(file, suffix, header)
    except OSError as error:
        raise BadInput(f"cannot read {path} ({error.strerror}); give a text itself with --text.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is no UTF-8 text.") from None
    except OddRow as error:
        raise BadInput(f"{path}:{error.line}: {error}") from None


def _lines(file: Any, names: list[str]) -> Numbered:
    """A text a line, the two of a pair parted by a tab."""
    for number, line in enumerate(file, start=1):
        yield number, dict(zip(names, line.rstrip("\r\n").split("\t", len(names) - 1)))


def _targets(row: dict[str, str], labels: list[str], manifest: Manifest, place: str) -> tuple[Any, ...] | None:
    """The true answer, where the file has its columns; of several labels 0 or 1 each may have a column of its own."""
    one = answering_outputs(manifest)[0]
    if not set(labels) <= row.keys():
        return None
    if one["kind"] == "values" or len(labels) > 1:
        dtype = np.float32 if one["kind"] == "values" else np.uint8
        return (np.array([_number(row[name], f"{place}: {name}") for name in labels], dtype),)
    text, at = row[labels[0]], f"{place}: {labels[0]}"
    if one["kind"] == "classes":
        return (class_number(text, one["class_names"], at),)
    named = [name.strip() for name in text.split("|") if name.strip()]
    numbers = [class_number(name, one["class_names"], at) for name in named]
    return (np.isin(np.arange(len(one["class_names"])), numbers).astype(np.uint8),)


def _number(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"{place}: '{text}' is no number.") from None
