"""Doubts about a results folder, in sentences for the head of a report and of a choice."""

from collections.abc import Sequence

from kdbench.evidence import Finding
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import counted, quoted_list, target_place

MOST = 3
"""Findings of one kind that are told one by one; of more the first stands for all."""


def cautions(findings: Sequence[Finding]) -> tuple[Sentence, ...]:
    """A sentence a finding; where many are of one kind, the first and whom else it concerns."""
    by_kind: dict[tuple[str, bool], list[Finding]] = {}
    for one in findings:
        by_kind.setdefault((one.kind, one.bars), []).append(one)
    return tuple(Sentence(text) for same in by_kind.values() for text in _told(same))


def _told(same: Sequence[Finding]) -> list[str]:
    if len(same) <= MOST:
        return [f"{_place(one)}{one.sentence}{' It is never chosen.' if one.bars else ''}" for one in same]
    names = list(dict.fromkeys(name for one in same[1:] for name in one.cases))
    never = " They are never chosen." if same[0].bars else ""
    whom = quoted_list(names) if len(names) <= 4 else counted(len(names), "other case")
    return [f"{_place(same[0])}{same[0].sentence} The same holds for {whom}.{never}"]


def _place(finding: Finding) -> str:
    return "" if finding.target is None else f"On {target_place(finding.target)}: "
