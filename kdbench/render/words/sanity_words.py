"""Doubts about a results folder, in sentences for the head of a report and of a choice."""

from collections.abc import Sequence

from kdbench.evidence import Finding
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import counted, quoted_list, target_place

MOST = 3
"""Findings of one kind that are told one by one; of more the first stands for all."""
MOST_NAMES = 4
"""Cases that are named; more are counted."""


def cautions(findings: Sequence[Finding]) -> tuple[Sentence, ...]:
    """A sentence a finding; where many are of one kind, the first and whom else it concerns."""
    by_kind: dict[tuple[str, bool], dict[str, list[Finding]]] = {}
    for one in findings:
        by_kind.setdefault((one.kind, one.bars), {}).setdefault(one.sentence, []).append(one)
    return tuple(Sentence(text) for same in by_kind.values() for text in _told(list(same.values())))


def _told(told: Sequence[Sequence[Finding]]) -> list[str]:
    """Sentences of one kind; each comes with the findings that say it, one a target."""
    bars = told[0][0].bars
    if len(told) <= MOST:
        return [f"{_place(same)}{same[0].sentence}{' It is never chosen.' if bars else ''}" for same in told]
    first, *rest = told
    names = list(dict.fromkeys(name for same in rest for name in same[0].cases))
    whom = quoted_list(names) if len(names) <= MOST_NAMES else counted(len(names), "other case")
    return [f"{_place(first)}{first[0].sentence} The same holds for {whom}.{' They are never chosen.' if bars else ''}"]


def _place(same: Sequence[Finding]) -> str:
    places = [target_place(one.target) for one in same if one.target is not None]
    return f"On {', and on '.join(places)}: " if places else ""
