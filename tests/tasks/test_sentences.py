"""Generated sentences: their labels are what their grammar says, and come out the same every time."""

import re
from pathlib import Path

import numpy as np
import pytest

from kdbench.protocols import TaskDescription
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.sentences import BLAME, PRAISE, Sentences


def decoded(folder: Path, **fields: int) -> tuple[TaskDescription, ArrayData]:
    folder.mkdir()
    task = Sentences.from_fields({"train_count": 200, "validation_count": 0, "test_count": 100, **fields}).decode(
        folder
    )
    return task, ArrayData.open(folder, task)


def ids(folder: Path) -> bytes:
    """The files of the training split's inputs, one after the other."""
    places = sorted(folder.glob("train_*"))
    assert places
    return b"".join(place.read_bytes() for place in places)


def meant(text: str) -> bool:
    """The label by a grammar of its own: of the clause that weighs more, the word and whether `not` turns it."""
    clauses = re.split(r" but |although ", text)
    weighs = clauses[-1].split(" , ")[-1] if "but" in text or re.search(r"although .* , the", text) else clauses[0]
    words = weighs.split()
    praises = any(word in PRAISE for word in words)
    assert praises != any(word in BLAME for word in words), text
    return praises != ("not" in words)


def test_the_label_is_what_the_sentence_says_in_the_order_of_its_words(tmp_path: Path) -> None:
    import tokenizers

    task, data = decoded(tmp_path / "a")
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "a" / "tokenizer.json"))
    assert task.class_names == ("bad", "good")
    rows, lengths = data.split("test").inputs[0], data.lengths("test")["length"]
    texts = [tokenizer.decode(row[:n].tolist()) for row, n in zip(rows.padded(np.arange(100), 0), lengths, strict=True)]
    labels = data.targets("test")
    assert [meant(text) for text in texts] == [bool(label) for label in labels]
    assert 0.35 < labels.mean() < 0.65
    assert len(set(texts)) > 95


def test_the_same_seed_gives_the_same_files_and_another_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        decoded(tmp_path / name, data_seed=seed)
    first, again, other = (ids(tmp_path / name) for name in "abc")
    assert first == again != other
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (tmp_path / "b" / "tokenizer.json").read_bytes()


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="train_count"):
        Sentences(train_count=0)
