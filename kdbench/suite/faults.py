"""Gathers what is wrong with a suite file while it is read, so that a user is told all of it at once."""

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from kdbench.errors import Place, SuiteError
from kdbench.suite.yaml_lines import Document

MOST_FAULTS = 100
"""More than that at once help nobody, and looking for the names that were meant takes a while each."""
Read = TypeVar("Read")
Given = ParamSpec("Given")


class Faulty(Exception):
    """Raised where an entry is wrong, once that is noted, so that it is left out and the rest is read."""


class Faults:
    """The faults of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found = dict.fromkeys(document.faults)

    def note(self, place: Place, sentence: str) -> None:
        """A fault at a key path; the same one at the same place is noted once. The last of many raises SuiteError."""
        self._found[self.document.line_of(place), str(self.document.fail(place, sentence))] = None
        if len(self._found) >= MOST_FAULTS:
            self.report(f"{self.document.path}: there may be more; these {MOST_FAULTS} come first.")

    def note_all(self, found: Iterable[tuple[Place, str]]) -> None:
        """Several faults, each with its place."""
        for place, sentence in found:
            self.note(place, sentence)

    def fail(self, place: Place, sentence: str) -> Faulty:
        """Note a fault; gives what is to be raised."""
        self.note(place, sentence)
        return Faulty()

    def kept(self, read: Callable[Given, Read], *args: Given.args, **kwargs: Given.kwargs) -> Read | None:
        """The result of `read`; None where it raised Faulty, its faults noted."""
        try:
            return read(*args, **kwargs)
        except Faulty:
            return None

    def report(self, *last: str) -> None:
        """Raises SuiteError where anything was noted: a line for each fault, in the order of the file, then `last`."""
        if self._found:
            lines = [text for _, text in sorted(self._found, key=lambda fault: fault[0])]
            raise SuiteError("\n".join([*lines, *last]))
