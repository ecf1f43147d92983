"""The type of every sentence in a report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """A few sentences on one thing, and the warnings (words of `kdbench.stats`) on the numbers in them.

    Case names stand in backticks; what shows a sentence dresses them.
    """

    text: str
    warnings: tuple[str, ...] = ()
