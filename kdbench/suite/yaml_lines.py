"""Reads YAML as plain data, and keeps the line of every key. Knows nothing of suites; YAML is read nowhere else.

YAML 1.2's core schema, less what makes a file hard to follow: no anchors, aliases, merge keys or tags, one document,
keys are text. `5e-4` is a number; `on`, `yes`, `no` and dates are text. In a value, `~` at the start and `${VARIABLE}`
are expanded; a relative path stays as it is, relative to the current folder, as in a shell.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentEndEvent, MappingStartEvent, SequenceStartEvent
from ruamel.yaml.reader import ReaderError

from kdbench import units
from kdbench.errors import Place, SuiteError

DEPTH_LIMIT = 50
MOST_BYTES = 2**20
"""Largest file: about 10,000 cases."""
DIGIT_LIMIT = 18  # more digits may not fit a signed 64-bit number
WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
DIGITS = re.compile(r"[0-9]+([eE][-+]?[0-9]+)?")
INTEGER = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Document:
    """A file as read: its text, its data, and the line (from 1) of every key path in it."""

    path: Path
    text: str
    data: Any
    lines: dict[Place, int]
    faults: tuple[tuple[int, str], ...] = ()
    """What the file is wrong in though the rest can be read: the line, and the sentence with its place."""

    def line_of(self, place: Place) -> int:
        """The line of a key or list item; of the nearest one above it where the file does not write it out."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def fail(self, place: Place, message: str) -> SuiteError:
        """An error at a key path, to be raised: `FILE:LINE: key.path: message`."""
        return _error(self.path, self.line_of(place), place, message)


def _error(path: Path, line: int, place: Place, message: str) -> SuiteError:
    where = "".join(f"{key}." for key in place)[:-1] + ": " if place else ""
    return SuiteError(f"{path}:{line}: {where}{message}".replace("\n", "\\n"))


def read(path: Path) -> Document:
    """The one YAML document in a file.

    Raises SuiteError where the file cannot be read, is not YAML, or uses what keeps the rest from being read; its
    message has the faults before that, too.
    """
    text = _text(path)
    reading = _Reading(path, text)
    try:
        data = reading.document()
    except SuiteError as error:
        last = error
    except MarkedYAMLError as error:
        last = _syntax_error(path, text, error)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        last = SuiteError(f"{path}:{line}: the character U+{error.character:04X} is not allowed in YAML.")
    except (YAMLError, ValueError, OverflowError) as error:  # the last two: an escape such as "\UFFFFFFFF"
        last = SuiteError(f"{path}:1: this is not YAML ({error}).")
    else:
        return Document(path, text, data, reading.lines, tuple(reading.faults))
    raise SuiteError("\n".join([*(sentence for _, sentence in reading.faults), str(last)]))


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise SuiteError(f"{path}: this is no file that can be read from beginning to end; give a regular file.")
        if path.stat().st_size > MOST_BYTES:
            size = units.size(path.stat().st_size)
            raise SuiteError(f"{path}: this file has {size}, and a suite at most {units.size(MOST_BYTES)}.")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SuiteError(f"{path}: cannot be read ({reason}).") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SuiteError(f"{path}:{line}: this is not UTF-8 text; save the file as UTF-8.") from None


def _syntax_error(path: Path, text: str, error: MarkedYAMLError) -> SuiteError:
    mark = error.problem_mark or error.context_mark
    index = mark.line if mark else 0
    problem = error.problem or error.context or "it cannot be understood"
    if "'\\t'" in problem:
        return SuiteError(f"{path}:{index + 1}: a tab stands where YAML takes only spaces; indent with spaces.")
    braces = "${" in "".join(text.splitlines()[index : index + 1])
    hint = "; inside {...} and [...], put text with ${VARIABLE} in quotes" if braces else ""
    return SuiteError(f"{path}:{index + 1}: this is not YAML: {problem}{hint}.")


class _Reading:
    """One pass over the parser's events; raises SuiteError at the first thing after which nothing more can be told."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines: dict[Place, int] = {}
        self.faults: list[tuple[int, str]] = []
        """The line and the sentence of everything else that is not allowed."""
        self.events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)

    def document(self) -> Any:
        next(self.events)  # the stream's start
        if not hasattr(next(self.events), "version"):
            raise SuiteError(f"{self.path}: the file is empty.")
        data = self.node(next(self.events), ())
        after = [event for event in self.events if not isinstance(event, DocumentEndEvent)]
        if len(after) > 1:
            line = after[0].start_mark.line + 1
            raise SuiteError(f"{self.path}:{line}: a second document starts here; a file holds one.")
        if data is None and not self.faults:
            raise SuiteError(f"{self.path}: the file is empty.")
        return data

    def fail(self, place: Place, message: str) -> SuiteError:
        return Document(self.path, "", None, self.lines).fail(place, message)

    def note(self, line: int, place: Place, message: str) -> None:
        self.faults.append((line, str(_error(self.path, line, place, message))))

    def node(self, event: Any, place: Place) -> Any:
        line = event.start_mark.line + 1
        self.lines.setdefault(place, line)
        if isinstance(event, AliasEvent) or event.anchor:
            self.note(line, place, "anchors and aliases (& and *) are not used here; write the value out.")
        if isinstance(event, AliasEvent):
            return None
        if event.tag:
            self.note(line, place, f"tags ({event.tag}) are not used here; write the plain value.")
        if len(place) > DEPTH_LIMIT:
            raise self.fail(place[:3], f"this is nested more than {DEPTH_LIMIT} deep.")
        if isinstance(event, MappingStartEvent):
            return self.mapping(place)
        if isinstance(event, SequenceStartEvent):
            return [self.node(item, (*place, index)) for index, item in enumerate(self.until_end())]
        return self.value(event, place)

    def until_end(self) -> Iterator[Any]:
        """The events that start the children of the collection just begun."""
        while not type(event := next(self.events)).__name__.endswith("EndEvent"):
            yield event

    def mapping(self, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for event in self.until_end():
            key, line = self.key(event, place, data), event.start_mark.line + 1
            here = (*place, key or "")
            if key in data:
                where = ".".join(map(str, here))
                self.note(line, (), f"{where} is given twice (first at line {self.lines[here]}).")
            elif key is not None:
                self.lines.setdefault(here, line)
            value = self.node(next(self.events), here)
            if key is not None:
                data.setdefault(key, value)
        return data

    def key(self, event: Any, place: Place, before: dict[str, Any]) -> str | None:
        """The text of a key, None where it cannot be one; `place` is its mapping's, `before` what stands in that."""
        line, text = event.start_mark.line + 1, getattr(event, "value", None)
        if text is None or event.anchor or event.tag:
            raise _error(self.path, line, place, "a key is plain text here, without anchors and tags.")
        if event.style is None and text == "<<":
            self.note(line, place, "merge keys (<<) are not used here; write the fields out.")
            return None
        if not isinstance(self.scalar(event, place), str):
            last, value = list(before.items())[-1] if before else ("", None)
            if type(value) is int and DIGITS.fullmatch(text):  # {rate: 0,001} is `rate: 0` and a key `001`
                number = f"a comma ends a value in {{...}}; a number has a decimal point: write {value}.{text}."
                self.note(line, (*place, last), number)
            else:
                self.note(line, place, f"a key is text; write '{text}' in quotes.")
            return None
        return str(text)

    def value(self, event: Any, place: Place) -> Any:
        value = self.scalar(event, place)
        return self.expanded(value, place) if isinstance(value, str) else value

    def scalar(self, event: Any, place: Place) -> str | int | float | bool | None:
        text = str(event.value)
        if NOT_TEXT.search(text):
            raise self.fail(place, "this holds a control character, which text does not have.")
        if event.style is not None:
            return text
        if text in WORDS:
            return WORDS[text]
        if not FLOAT.fullmatch(text):
            return text
        whole = INTEGER.fullmatch(text) is not None
        if (whole and len(text) > DIGIT_LIMIT) or not math.isfinite(float(text)):
            raise self.fail(place, "this number is too large.")
        return int(text) if whole else float(text)

    def expanded(self, text: str, place: Place) -> str:
        def variable(match: re.Match[str]) -> str:
            if match[1] not in os.environ:
                message = f"the environment variable {match[1]} is not set; export {match[1]}=... first."
                self.note(self.lines[place], place, message)
            return os.environ.get(match[1], match[0])

        return os.path.expanduser(VARIABLE.sub(variable, text))
