"""A page as one file that makes no request: styles and script are inside it, allowed by their digests."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kdbench.evidence import CaseView
from kdbench.render.figures.canvas import COLORS, TEXT_COLORS
from kdbench.render.tables.cells import mark_width, numbers_of
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import explained

SIGNS = {"reference": "◆", "distillation": "●", "pruning": "■", "quantization": "▲", "chain": "✚", "other": "▼"}
"""The figures' markers, for the table's rows."""
IN_THE_DARK = {
    "reference": "#e4e8ec",
    "distillation": "#56aee6",
    "pruning": "#e69f00",
    "quantization": "#2fbf93",
    "chain": "#e3a0c5",
    "other": "#8fd0f5",
}
"""The palette where paper is black: 7 : 1 against it or more."""


def body(template: str, **values: Any) -> Markup:
    """A template of this room, filled; every value is escaped unless it is Markup."""
    return Markup(_maker().get_template(template).render(**values))


def framed(title: str, content: Markup, styles: str = "", script: str = "") -> str:
    """A whole page around its content; `styles` are added to the house's own, `script` names a file."""
    css = "\n".join([_resource("page.css"), *_family_colors(), styles])
    code = _resource(script) if script else ""
    frame = _maker().get_template("frame.html.j2")
    return frame.render(title=title, content=content, policy=_policy(css, code), css=Markup(css), script=Markup(code))


@cache
def _maker() -> Environment:
    maker = Environment(
        loader=PackageLoader("kdbench.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    maker.filters |= {
        "family": family,
        "kind": lambda block: type(block).__name__,
        "parts": parts,
        "marks": numbers_of,
        "mark_widths": lambda footnotes, columns: [min(9, mark_width(column, footnotes)) for column in columns],
        "zip": zip,
    }
    maker.globals["signs"] = SIGNS
    return maker


def _resource(name: str) -> str:
    return (files("kdbench.render") / "templates" / name).read_text(encoding="utf-8")


def _policy(css: str, code: str) -> str:
    allowed = {"style-src": css, "script-src": code}
    sources = "".join(f"; {kind} 'sha256-{_digest(text)}'" for kind, text in allowed.items() if text)
    return f"default-src 'none'{sources}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _family_colors() -> list[str]:
    """The palette as variables, lighter in the dark, and the table's signs in it."""
    light = [f"--{name}: {color}; --{name}-text: {TEXT_COLORS[name]};" for name, color in COLORS.items()]
    dark = [f"--{name}: {color}; --{name}-text: {color};" for name, color in IN_THE_DARK.items()]
    return [
        f":root {{ {' '.join(light)} }}",
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {' '.join(dark)} }} }}",
        *(f".sign.{name} {{ color: var(--{name}); }}" for name in COLORS),
    ]


def family(case: CaseView) -> str:
    """A case's family as the page colours it."""
    return case.family if case.family in SIGNS else "other"


def parts(sentence: Sentence, footnotes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """(text, kind) in order: names apart from the text around them, then numbers of the table's footnotes."""
    pieces = sentence.text.split("`")
    found = [(piece, "name" if place % 2 else "text") for place, piece in enumerate(pieces) if piece]
    said = [explained(word) for word in sentence.warnings]
    return found + [(str(footnotes.index(note) + 1), "note") for note in said if note in footnotes]
