"""A compressed file beside what it came from, in words: larger or smaller, slower or faster."""

from collections.abc import Mapping, Sequence

from kdbench import units
from kdbench.evidence import CaseView
from kdbench.evidence.intervals import Estimate
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import listed, quoted
from kdbench.results.records import CallSize

ORIGIN = "the uncompressed student"
ALIKE = 0.005
"""Sizes nearer to each other than this are called the same."""


def size_word(ratio: float) -> str:
    """Larger, smaller or as large, from the ratio of bytes before / after."""
    return "as large" if abs(ratio - 1) < ALIKE else "smaller" if ratio > 1 else "larger"


def speed_word(speedup: Estimate) -> str:
    """Faster, slower or as fast; a speed-up whose interval holds 1 is none."""
    low = speedup.value if speedup.low is None else speedup.low
    high = speedup.value if speedup.high is None else speedup.high
    return "as fast" if low <= 1 <= high else "faster" if speedup.value > 1 else "slower"


def speed_words(speedups: Mapping[CallSize, Estimate]) -> list[str]:
    """ "slower at batch 1", a part for each word."""
    batches: dict[str, list[str]] = {}
    for batch, speedup in speedups.items():
        batches.setdefault(speed_word(speedup), []).append(str(batch))
    return [f"{word} at batch {listed(found)}" for word, found in batches.items()]


def warned(cases: Sequence[CaseView], target: str) -> tuple[Sentence, ...]:
    """The cases that are larger or slower than the uncompressed student; that none is, where all are known."""
    views = {case.name: view for case in cases if (view := case.compression.get(target))}
    larger = [
        f"{quoted(name)} ({units.ratio(1 / view.ratio['file'])})"
        for name, view in views.items()
        if "file" in view.ratio and size_word(view.ratio["file"]) == "larger"
    ]
    slower = [
        f"{quoted(name)} ({listed([f'{units.ratio(1 / s.value)} at batch {batch}' for batch, s in found.items()])})"
        for name, view in views.items()
        if (found := {batch: s for batch, s in view.speedup.items() if speed_word(s) == "slower"})
    ]
    said = [
        Sentence(f"{word} than {ORIGIN}: {listed(names)}.")
        for word, names in (("Larger", larger), ("Slower", slower))
        if names
    ]
    known = all(case.name in views and "file" in views[case.name].ratio and views[case.name].speedup for case in cases)
    return tuple(said) or ((Sentence(f"No file is larger or slower than {ORIGIN}."),) if known else ())
