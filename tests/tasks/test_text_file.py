"""Texts as ids with a mask: rows of three formats, tokenizers, cuts, targets, and what a user gets wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.errors import DataError
from kdbench.protocols import TaskDescription
from kdbench.ragged import Ragged
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.text_file import TextFile
from kdbench.tasks.text_rows import read_rows
from kdbench.testing import check_task

tokenizers = pytest.importorskip("tokenizers")

GOOD = ["a fine film", "warm and funny", "great fun", 'it is "fresh"']
BAD = ["dull", "a bad film", "slow and cold", "no"]
ROWS = [*(("good", text) for text in GOOD), *(("bad", text) for text in BAD)] * 5


def write_tsv(path: Path, rows: list[tuple[str, ...]], header: str = "label\tsentence") -> str:
    path.write_text("\n".join([*([header] if header else []), *("\t".join(row) for row in rows)]) + "\n")
    return str(path)


def task(folder: Path, rows: list[tuple[str, ...]] = ROWS, **fields: Any) -> TextFile:
    return TextFile(
        train=write_tsv(folder / "train.tsv", rows),
        test=write_tsv(folder / "test.tsv", rows[:8]),
        **{"text": "sentence", "vocabulary": 300, **fields},
    )


def decoded(folder: Path, chosen: TextFile) -> tuple[TaskDescription, ArrayData]:
    out = folder / "out"
    out.mkdir()
    description = chosen.decode(out)
    return description, ArrayData.open(out, description)


def test_texts_become_ids_that_the_kept_tokenizer_reads_back(tmp_path: Path) -> None:
    description, data = decoded(tmp_path, task(tmp_path))
    assert description.input_names == ("input_ids", "attention_mask")
    assert (description.class_names, description.example_counts["test"]) == (("bad", "good"), 8)
    assert description.companions == ("tokenizer.json",)
    kept = tokenizers.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    (ids,) = data.inputs("test")
    assert isinstance(ids, Ragged)
    texts = [kept.decode(ids[place].tolist()).strip() for place in range(8)]
    assert texts == [*GOOD, *BAD], "quotes in a TSV are letters"
    assert data.targets("test")[:8].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    first = ids[0].tolist()
    assert (first[0], first[-1]) == (kept.token_to_id("[CLS]"), kept.token_to_id("[SEP]"))
    lengths = data.lengths("train")["length"]
    assert description.axes[0].lengths["longest"] == lengths.max()


def test_the_task_keeps_the_contract_and_trains_the_same_tokenizer_twice(tmp_path: Path) -> None:
    check_task(task(tmp_path))
    one, other = (tmp_path / name for name in ("one", "other"))
    for out in (one, other):
        out.mkdir()
        task(tmp_path).decode(out)
    assert (one / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes()


def test_the_tokenizer_sees_the_training_split_alone(tmp_path: Path) -> None:
    before = task(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    before.decode(tmp_path / "one")
    write_tsv(tmp_path / "test.tsv", [("good", "zzzzzz zzzzzz zzzzzz"), ("bad", "zzzzzz")])
    before.decode(tmp_path / "other")
    same = [(tmp_path / name / "tokenizer.json").read_bytes() for name in ("one", "other")]
    assert same[0] == same[1]


def test_long_texts_are_cut_counted_and_keep_their_end(tmp_path: Path) -> None:
    long = [("good", "fun " * 100), ("bad", "no " * 100)]
    description, data = decoded(tmp_path, task(tmp_path, [*ROWS, *long], max_length=16))
    assert any("2 texts of 50 were cut to 16 tokens" in note for note in description.notes)
    lengths = np.concatenate([data.lengths(split)["length"] for split in description.example_counts])
    assert lengths.max() == description.axes[0].most == 16
    (ids,) = data.inputs("train")
    assert isinstance(ids, Ragged)
    ends = {int(ids[place][-1]) for place in range(len(ids))}
    assert len(ends) == 1


def test_pairs_have_segments(tmp_path: Path) -> None:
    rows = [(label, text, text.upper()) for label, text in ROWS]
    write_tsv(tmp_path / "all.tsv", rows, "label\ta\tb")
    pairs = TextFile(file=str(tmp_path / "all.tsv"), text="a", pair="b", vocabulary=300)
    description, data = decoded(tmp_path, pairs)
    assert [one.role for one in description.inputs] == ["values", "segments", "mask"]
    ids, segments = data.inputs("train")
    assert isinstance(ids, Ragged)
    assert isinstance(segments, Ragged)
    assert segments[0].tolist() == sorted(segments[0].tolist())
    assert set(segments[0].tolist()) == {0, 1}
    assert len(segments[0]) == len(ids[0])


def test_several_labels_and_values_are_read_too(tmp_path: Path) -> None:
    rows = [("fun|warm", "a"), ("cold", "b"), ("", "c"), ("warm", "d")] * 8
    description, data = decoded(tmp_path, task(tmp_path, rows, kind="multilabel", label="label"))
    assert description.class_names == ("cold", "fun", "warm")
    assert data.targets("test")[:3].tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    (tmp_path / "more").mkdir()
    numbers = [(str(number), "text") for number in range(30)]
    description, data = decoded(tmp_path / "more", task(tmp_path / "more", numbers, kind="values", unit="stars"))
    assert (description.outputs[0].unit, description.outputs[0].kind) == ("stars", "values")
    assert data.targets("test")[:3].tolist() == [[0.0], [1.0], [2.0]]


def test_csv_and_json_lines_say_the_same_as_tsv(tmp_path: Path) -> None:
    rows = [{"label": "good", "text": 'so "fresh", and new'}, {"label": "bad", "text": "no"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "a.csv").write_text('label,text\ngood,"so ""fresh"", and new"\nbad,no\n')
    (tmp_path / "a.tsv").write_text('good\tso "fresh", and new\nbad\tno\n')
    names = ("label", "text")
    expected = {name: [row[name] for row in rows] for name in names}
    for name, header in (("a.jsonl", ()), ("a.csv", ()), ("a.tsv", names)):
        found = read_rows(tmp_path / name, tmp_path, names, header)
        assert {column: list(texts) for column, texts in found.columns.items()} == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.tsv", "label\tsentence\ngood\n", "a.tsv':2: 1 fields, and 2 were expected (label, sentence)"),
        ("a.jsonl", '{"label": "x"}\nno\n', "a.jsonl':2: no JSON"),
        ("a.jsonl", '{"label": "x", "text": "t"}\n{"label": "x"}\n', "a.jsonl':2: there is no 'text'"),
        ("a.csv", 'label,text\ngood,"open\n', "a.csv':2"),
        ("a.txt", "good\tfine\n", "ends in none of .tsv, .csv, .jsonl, .json"),
        ("a.tsv", "label\tsentence\n", "has no rows"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as error:
        read_rows(tmp_path / name, tmp_path, ())
    assert said in str(error.value)


def test_labels_and_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    bad = task(tmp_path)
    write_tsv(tmp_path / "test.tsv", [("god", "typo")])
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"test\.tsv':2: 'god' is no class of the .*\. Did you mean 'good'\?"):
        bad.decode(tmp_path / "out")
    with pytest.raises(DataError, match=r"has no column 'sentense', which text names. Did you mean 'sentence'"):
        task(tmp_path, text="sentense").decode(tmp_path / "out")
    with pytest.raises(DataError, match=r"train\.tsv':2: 'good' is no number"):
        task(tmp_path, kind="values").decode(tmp_path / "out")
    with pytest.raises(DataError, match=r"train\.tsv':2: 'good' is no number"):
        task(tmp_path, kind="multilabel", label=("label", "sentence")).decode(tmp_path / "out")
    with pytest.raises(ValueError, match="label names several columns, and one class an example stands in one"):
        task(tmp_path, label=("label", "sentence"))
    with pytest.raises(DataError, match=r"tokenizer: there is no '.*nowhere'; name a tokenizer\.json, a folder with"):
        task(tmp_path, tokenizer=str(tmp_path / "nowhere")).identity()
    with pytest.raises(DataError, match=r"tokenizer: '.*train\.tsv' is no tokenizer\.json"):
        task(tmp_path, tokenizer=str(tmp_path / "train.tsv")).decode(tmp_path / "out")
    with pytest.raises(ValueError, match="columns has a, b"):
        task(tmp_path, columns=("a", "b"))


def test_several_columns_are_several_values_or_labels(tmp_path: Path) -> None:
    header = "sentence\tstars\tprice\tcheap"
    rows = [("so so", "3", "10.5", "0"), ("fine", "5", "20.5", "1"), ("dull", "1", "11", "1")]
    files = {name: write_tsv(tmp_path / f"{name}.tsv", rows, header) for name in ("train", "test")}
    own: dict[str, Any] = {**files, "text": "sentence", "vocabulary": 300, "validation_fraction": 0}
    for folder in ("values", "labels"):
        (tmp_path / folder).mkdir()
    values, data = decoded(tmp_path / "values", TextFile(**own, label=("stars", "price"), kind="values"))
    output = values.outputs[0]
    assert (output.value_names, output.axes) == (("stars", "price"), (2,))
    assert output.mean == pytest.approx((3, 14))
    assert output.scale == pytest.approx(np.std([[3, 5, 1], [10.5, 20.5, 11]], axis=1))
    assert data.targets("test").tolist() == [[3, 10.5], [5, 20.5], [1, 11]]
    with pytest.raises(DataError, match=r"train\.tsv':2: 'stars' is neither 0 nor 1"):
        TextFile(**own, label=("cheap", "stars"), kind="multilabel").decode(tmp_path / "labels")
    write_tsv(tmp_path / "train.tsv", [(a, "1", c, d) for a, _, c, d in rows], header)
    write_tsv(tmp_path / "test.tsv", [(a, "0", c, d) for a, _, c, d in rows], header)
    labels, data = decoded(tmp_path / "labels", TextFile(**own, label=("cheap", "stars"), kind="multilabel"))
    assert labels.class_names == ("cheap", "stars")
    assert data.targets("test").tolist() == [[0, 0], [1, 0], [1, 0]]


def test_a_models_folder_gives_its_tokenizer_and_unknown_words_are_counted(tmp_path: Path) -> None:
    known = {"[PAD]": 0, "[UNK]": 1, "a": 2, "fine": 3, "film": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    chosen = task(tmp_path, tokenizer=str(folder))
    description, data = decoded(tmp_path, chosen)
    assert data.inputs("test")[0][0].tolist() == [2, 3, 4], "the file's own cut of 2 does not count"
    assert description.settings["text"]["unknown"] == 1  # type: ignore[index, call-overload]
    words = sum(len(text.replace('"', ' " ').split()) for text in [*GOOD, *BAD])
    assert description.notes == (f"The tokenizer does not know {words - 5} of the test split's {words} tokens.",)
    before = chosen.identity()
    (folder / "config.json").write_text("{}")
    assert chosen.identity() == before, "only the tokenizer of the folder counts"
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    assert chosen.identity() != before
