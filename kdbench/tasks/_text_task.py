"""Files of texts become a task: read, shared out into splits, made into ids, described."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.protocols import Input, Output, SymbolicAxis, TaskDescription
from kdbench.ragged import Array, Index, Ragged, typical_lengths
from kdbench.tasks import _tokens
from kdbench.tasks.arrays import write_split
from kdbench.tasks.kept_groups import kept
from kdbench.tasks.rows import pieces_of, portions, taken
from kdbench.tasks.splits import as_said, at_random, by_group
from kdbench.tasks.spool import RaggedSpool
from kdbench.tasks.text_rows import TextRows, read_rows

if TYPE_CHECKING:
    from kdbench.tasks.text_file import TextFile

LENGTH = "length"
PART_LETTERS = 2**15
"""Letters that are encoded at once, unless a text has more: a token takes some hundred bytes meanwhile."""
Part = tuple[TextRows, Index]
"""A file's rows, and the places of a split's examples among them."""


def decode(task: TextFile, out: Path) -> TaskDescription:
    """Write every split and describe them. Raises DataError."""
    parts = _parts(task, out)
    output = _output(task, parts["train"])
    tokenizer = _tokenizer(task, parts["train"])
    tokenizer.save(str(out / _tokens.FILE))
    pad, unknown = _tokens.padding_id(tokenizer), _tokens.unknown_id(tokenizer)
    tokenizer.no_padding()
    cut, counts, lengths, notes = 0, {}, np.zeros(0, np.int64), []
    for split, part in _kept(task, parts).items():
        inputs, cut_here = _encoded(tokenizer, task, part, out)
        cut += cut_here
        rows = [taken(ragged, np.arange(len(ragged))) for ragged in inputs]
        write_split(out, split, rows, _targets(task, output, part))
        counts[split] = len(inputs[0])
        if split == "train":
            lengths = inputs[0].lengths
        if split == "test" and unknown is not None:
            notes += _unknown(inputs[0].values, unknown)
    if cut:
        notes.insert(0, f"{cut:,} texts of {sum(counts.values()):,} were cut to {task.max_length} tokens.")
    return TaskDescription(
        inputs=_inputs(task, tokenizer.get_vocab_size(), pad),
        outputs=(output,),
        axes=(SymbolicAxis(name=LENGTH, most=task.max_length, lengths=typical_lengths(lengths), unit="tokens"),),
        example_counts=counts,
        notes=tuple(notes),
        companions=(_tokens.FILE,),
        settings={"text": {**_settings(task), "unknown": unknown}},
        validation_origin=task.validation_origin(),
    )


def _unknown(ids: Array, unknown: int) -> list[str]:
    """How many of the test split's tokens the tokenizer does not know, as a sentence; none where it knows all."""
    count = sum(int((piece == unknown).sum()) for piece in pieces_of(ids))
    return [f"The tokenizer does not know {count:,} of the test split's {len(ids):,} tokens."] if count else []


def _settings(task: TextFile) -> dict[str, Any]:
    """How ids are made of a file's rows, for whoever uses a model elsewhere."""
    columns = {"text": task.text, "pair": task.pair or "", "labels": list(task.labels), "header": list(task.columns)}
    said = {"tokenizer": _tokens.FILE, "max_length": task.max_length, "pair": task.pair is not None}
    return {**said, "columns": columns}


def _inputs(task: TextFile, vocabulary: int, pad: int) -> tuple[Input, ...]:
    ids = Input(name="input_ids", axes=(LENGTH,), dtype="int64", padding=pad, values=vocabulary)
    mask = Input(name="attention_mask", axes=(LENGTH,), dtype="int64", role="mask", covers=LENGTH)
    if task.pair is None:
        return ids, mask
    segments = Input(name="token_type_ids", axes=(LENGTH,), dtype="int64", role="segments", values=2)
    return ids, segments, mask


def _parts(task: TextFile, scratch: Path) -> dict[str, Part]:
    """Each split's rows. Raises DataError."""
    wanted = task.read_columns()
    files = {name: read_rows(place, scratch, wanted, task.columns) for name, place in task.places().items()}
    for rows in files.values():
        for field, name in task.named_columns():
            rows.column(name, f"{field} names")
    own = "file" if task.file is not None else "train"
    parts = {split: (files[own], places) for split, places in _shared_out(task, files, own).items()}
    return {**parts, **{name: (rows, np.arange(rows.count)) for name, rows in files.items() if name != own}}


def _kept(task: TextFile, parts: dict[str, Part]) -> dict[str, Part]:
    """The rows that `only` keeps. Raises DataError."""
    if not task.only:
        return parts
    said = {
        split: {name: rows.labels(name, "only names")[places] for name in task.only}
        for split, (rows, places) in parts.items()
    }
    return {split: (parts[split][0], parts[split][1][places]) for split, places in kept(task.only, said).items()}


def _shared_out(task: TextFile, files: dict[str, TextRows], own: str) -> dict[str, Index]:
    rows = files[own]
    if task.split_by is not None:
        return as_said(rows.labels(task.split_by, "split_by names"), f"'{rows.place}': {task.split_by}")
    fractions = {"validation": 0.0 if "validation" in files else task.validation_fraction}
    if own == "file":
        fractions["test"] = task.test_fraction
    try:
        if task.group_by is not None:
            return by_group(rows.labels(task.group_by, "group_by names"), fractions, task.split_seed)
        classes = rows.labels(task.labels[0], "label names") if task.kind == "classes" else None
        return at_random(rows.count, fractions, task.split_seed, classes)
    except DataError as error:
        raise DataError(f"'{rows.place}': {error}") from None


def _tokenizer(task: TextFile, train: Part) -> Any:
    if task.tokenizer is not None:
        tokenizer = _tokens.read_tokenizer(_tokens.tokenizer_file(task.tokenizer))
        tokenizer.no_truncation()
        return tokenizer
    columns = [task.text, *([task.pair] if task.pair is not None else [])]
    return _tokens.trained_tokenizer((text for name in columns for text in _chosen(train, name)), task.vocabulary)


def _chosen(part: Part, column: str) -> Iterator[str]:
    rows, places = part
    return rows.columns[column].at(places)


def _encoded(tokenizer: Any, task: TextFile, part: Part, scratch: Path) -> tuple[list[Ragged], int]:
    """Ids, of pairs segments too, and how many texts were cut."""
    columns = [_chosen(part, name) for name in (task.text, task.pair) if name is not None]
    examples = zip(*columns, strict=True) if task.pair is not None else columns[0]
    cut = 0
    with ExitStack() as stack:
        spools = [stack.enter_context(RaggedSpool(scratch, np.int32)) for _ in columns]
        for some in portions(examples, lambda texts: sum(map(len, texts)), PART_LETTERS):
            found = tokenizer.encode_batch(some)
            cut += sum(len(one.ids) > task.max_length for one in found)
            for spool, name in zip(spools, ("ids", "type_ids"), strict=False):
                spool.add(_cut([getattr(one, name) for one in found], task.max_length))
        return [spool.mapped() for spool in spools], cut


def _cut(rows: Sequence[Sequence[int]], most: int) -> list[Array]:
    """Rows of at most so many ids; the last one, which ends a text, stays the last."""
    return [np.array([*row[: most - 1], row[-1]] if len(row) > most else row, np.int32) for row in rows]


def _output(task: TextFile, train: Part) -> Output:
    if task.kind == "values":
        numbers = _numbers(task, train)
        return Output(
            name="values",
            kind="values",
            axes=(len(task.labels),),
            value_names=task.labels,
            unit=task.unit,
            mean=tuple(map(float, numbers.mean(0))),
            scale=tuple(float(spread) or 1.0 for spread in numbers.std(0)),
            metrics=task.metrics,
        )
    names = task.labels if len(task.labels) > 1 else _class_names(task, train)
    return Output(kind=task.kind, axes=(len(names),), class_names=names, metrics=task.metrics)


def _class_names(task: TextFile, train: Part) -> tuple[str, ...]:
    """The classes or labels of the training split, from a to z. Raises DataError for a single class."""
    (column,) = task.labels
    labels = set(_chosen(train, column))
    names = tuple(
        sorted({name for label in labels for name in (_labels(label) if task.kind != "classes" else [label])})
    )
    if len(names) < 2 and task.kind == "classes":
        raise DataError(f"'{train[0].place}': {column} has {len(names)} classes, at least 2 are needed.")
    return names


def _labels(label: str) -> list[str]:
    return [name.strip() for name in label.split("|") if name.strip()]


def _targets(task: TextFile, output: Output, part: Part) -> Array:
    if task.kind == "values":
        return _numbers(task, part).astype(np.float32)
    if len(task.labels) > 1:
        return _flags(task, part)
    labels, count = _chosen(part, task.labels[0]), len(part[1])
    places = {name: number for number, name in enumerate(output.class_names)}
    if task.kind == "classes":
        return np.array([_class(part, at, label, places) for at, label in enumerate(labels)])
    rows = np.zeros((count, len(places)), np.uint8)
    for at, label in enumerate(labels):
        rows[at, [_class(part, at, name, places) for name in _labels(label)]] = 1
    return rows


def _numbers(task: TextFile, part: Part) -> np.ndarray:
    """(N, columns), float64. Raises DataError with the line where something is no number."""
    columns = [_chosen(part, name) for name in task.labels]
    return np.array([[_number(part, at, text) for at, text in enumerate(column)] for column in columns]).T


def _flags(task: TextFile, part: Part) -> Array:
    """A column of 0 and 1 for each label, uint8 (N, labels). Raises DataError with the line where it is neither."""
    found = _numbers(task, part)
    wrong = np.argwhere((found != 0) & (found != 1))
    if len(wrong):
        at, column = map(int, wrong[0])
        rows, index = part
        raise DataError(f"'{rows.place}':{rows.lines[index[at]]}: '{task.labels[column]}' is neither 0 nor 1.")
    return found.astype(np.uint8)


def _class(part: Part, at: int, name: str, places: dict[str, int]) -> int:
    if name not in places:
        rows, index = part
        line = rows.lines[index[at]]
        raise DataError(f"'{rows.place}':{line}: '{name}' is no class of the training split. {nearest(name, places)}")
    return places[name]


def _number(part: Part, at: int, label: str) -> float:
    try:
        return float(label)
    except ValueError:
        rows, index = part
        raise DataError(f"'{rows.place}':{rows.lines[index[at]]}: '{label}' is no number.") from None
