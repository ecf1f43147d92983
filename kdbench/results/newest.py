"""Which of a folder's records count: the last of each label, and never those of two machines under one name."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from kdbench.measure.target_id import ANOTHER_MACHINE
from kdbench.results.records import Energy, Failed, Labelled, Latency, Memory, Record, Score, Start


def current_records(everything: Iterable[Record]) -> list[Record]:
    """The last record of each label; a failure counts only where nothing of its group went well after it.

    Where measurements of one target come from several machines or runtimes, those of all but the one with the most get
    its fingerprint into their target's name, so that nothing pools or compares them.
    """
    return _apart(_last(everything))


def _last(everything: Iterable[Record]) -> list[Record]:
    last: dict[Hashable, Record] = {}
    mended: dict[Hashable, int] = {}
    place: dict[Hashable, int] = {}
    for number, record in enumerate(everything):
        label = _label(record)
        last.pop(label, None)
        last[label] = record
        place[label] = number
        if isinstance(record, Labelled) and not isinstance(record, Failed):
            mended[_group(record)] = number
    return [
        record
        for label, record in last.items()
        if not isinstance(record, Failed) or place[label] > mended.get(_group(record), -1)
    ]


def _label(record: Record) -> Hashable:
    """A later record with the same label replaces an earlier one."""
    if not isinstance(record, Labelled):
        return (record.KIND, record.key)
    detail: Hashable = record.key
    if isinstance(record, Failed):
        detail = (record.status, record.key)
    elif isinstance(record, Score):
        detail = (record.split, record.output, record.metric)
    elif isinstance(record, Latency | Memory | Start | Energy):
        detail = record.call_size
    elif record.target is not None:
        detail = None
    return (*_group(record), detail)


def _group(record: Labelled) -> tuple[str, str, int, str | None]:
    kind = record.kind if isinstance(record, Failed) else record.KIND
    return (kind, record.case, record.seed, record.target)


def _apart(current: Sequence[Record]) -> list[Record]:
    machines: dict[str, Counter[str]] = {}
    for record in current:
        if isinstance(record, Latency) and record.target and record.fingerprint:
            machines.setdefault(record.target, Counter())[record.fingerprint] += 1
    main = {target: counts.most_common(1)[0][0] for target, counts in machines.items() if len(counts) > 1}
    return [_named(record, main) if isinstance(record, Labelled) else record for record in current]


def _named(record: Labelled, main: dict[str, str]) -> Labelled:
    if record.target not in main or record.fingerprint in (None, main[record.target]):
        return record
    return replace(record, target=f"{record.target}{ANOTHER_MACHINE}{record.fingerprint}")
