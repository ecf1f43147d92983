"""Tokenizers: read from a file, or trained so that the same texts give the same one. Knows no task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kdbench.errors import DataError

PAD, BEGIN, END = "[PAD]", "[CLS]", "[SEP]"
SPECIAL = (PAD, BEGIN, END)
FILE = "tokenizer.json"
PADS, UNKNOWNS = (PAD, "<pad>"), ("[UNK]", "<unk>")
"""What tokenizers call padding, and a word that they do not know."""


def tokenizers() -> Any:
    """The library. Raises DataError where it is not installed."""
    try:
        import tokenizers
    except ImportError:
        raise DataError("texts need the package tokenizers; type: pip install 'kdbench[text]'.") from None
    return tokenizers


def tokenizer_file(place: str) -> Path:
    """The file that a suite names, itself or by its folder; it need not be there."""
    path = Path(place).expanduser()
    return path / FILE if path.is_dir() else path


def read_tokenizer(path: Path) -> Any:
    """The tokenizer of a `tokenizer.json`. Raises DataError."""
    library = tokenizers()
    if not path.is_file():
        raise DataError(
            f"tokenizer: there is no '{path}'; name a tokenizer.json or a folder with one, or leave the field out."
        )
    try:
        return library.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise DataError(f"tokenizer: '{path}' is no tokenizer.json ({str(error).splitlines()[0]}).") from None


def trained_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE: every text can be written in it, and the same texts give the same tokens and ids.

    (WordPiece trained twice differs in a few tokens: ids are given in the order of a hash map.)
    A text becomes [CLS] text [SEP], a pair [CLS] text [SEP] text [SEP].
    """
    library = tokenizers()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in (BEGIN, END)]
    tokenizer.post_processor = library.processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", pair=f"{BEGIN} $A {END} $B:1 {END}:1", special_tokens=ids
    )
    return tokenizer


def padding_id(tokenizer: Any) -> int:
    """What stands behind a text's end; 0 where the tokenizer names none (the mask hides it)."""
    found = _id(tokenizer, PADS)
    if found is None and tokenizer.padding:
        found = tokenizer.padding["pad_id"]
    return found or 0


def unknown_id(tokenizer: Any) -> int | None:
    """What stands for a word that the tokenizer does not know; None where it can write every text."""
    return _id(tokenizer, UNKNOWNS)


def _id(tokenizer: Any, names: Sequence[str]) -> int | None:
    return next((found for name in names if (found := tokenizer.token_to_id(name)) is not None), None)
