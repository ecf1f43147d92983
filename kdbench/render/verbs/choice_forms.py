"""A choice as text for a terminal, as Markdown and as JSON."""

import json
import shutil
import textwrap
from dataclasses import asdict

from kdbench.choose import Choice
from kdbench.evidence import Evidence
from kdbench.protocols.part import Part
from kdbench.render.report.markdown import escaped
from kdbench.render.verbs.choice import Block, asked_choice, basis, blocks

FORMATS = ("text", "markdown", "json")
WIDTH, NARROWEST = 100, 60


def written(choice: Choice, form: str) -> str:
    """The choice in one of FORMATS."""
    return {"text": as_text, "markdown": as_markdown, "json": as_json}[form](choice)


def asked_text(evidence: Evidence) -> str:
    """The choice under the suite's own limits for a terminal; empty where the suite has none."""
    choice = asked_choice(evidence)
    return as_text(choice) if isinstance(choice, Choice) else choice or ""


def as_text(choice: Choice) -> str:
    """Lines as wide as the terminal, at most WIDTH characters; names lose what does not print."""
    width = min(WIDTH, max(NARROWEST, shutil.get_terminal_size((WIDTH, 0)).columns))
    return "\n\n".join([*(_text_block(block, width) for block in blocks(choice)), _wrapped(basis(choice), "", width)])


def as_markdown(choice: Choice) -> str:
    """For a README or a pull request."""
    parts = [f"# What to ship: {escaped(choice.suite)}"]
    for block in blocks(choice):
        parts += [f"## {_dressed(block.title)}"]
        parts += ["\n".join(f"- **{_dressed(label)}**: {_dressed(text)}" for label, text in block.lines)]
    return "\n\n".join([*parts, _dressed(basis(choice))])


def as_json(choice: Choice) -> str:
    """Everything, unrounded: the metric's own unit (rates), nanoseconds, bytes, ratios; limits as they were written."""
    return json.dumps({"schema": 2, **asdict(choice)}, indent=1, allow_nan=False, default=_fields)


def _fields(part: Part) -> object:
    return part.model_dump(mode="json", exclude_none=True)


def _text_block(block: Block, width: int) -> str:
    longest = max(len(label) for label, _ in block.lines) + 1
    lines = [_wrapped(f"  {label + ':':<{longest}} {text}", " " * (longest + 3), width) for label, text in block.lines]
    return "\n".join([_wrapped(block.title, "", width), *lines])


def _wrapped(text: str, indent: str, width: int) -> str:
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return textwrap.fill(printable, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _dressed(text: str) -> str:
    """Markdown of a sentence: what stands in backticks is code, all else is text."""
    parts = " ".join(text.split()).split("`")
    return "".join(f"`{part}`" if place % 2 else _text(part) for place, part in enumerate(parts))


def _text(part: str) -> str:
    return " ".join(escaped(word) for word in part.split(" "))
