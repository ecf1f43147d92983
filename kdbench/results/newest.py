"""Which of a folder's records hold, and whose they are: the last of each label, two machines never under one name."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from kdbench.results.records import Accuracy, Energy, Latency, Memory, Record, Start
from kdbench.results.target_id import ANOTHER_MACHINE


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
        label = _label(record) if record.status == "ok" else (record.status, _group(record), record.key)
        last.pop(label, None)
        last[label] = record
        place[label] = number
        if record.status == "ok":
            mended[_group(record)] = number
    return [
        record
        for label, record in last.items()
        if record.status == "ok" or place[label] > mended.get(_group(record), -1)
    ]


def _label(record: Record) -> Hashable:
    detail: Hashable = record.key
    if isinstance(record, Accuracy):
        detail = record.split
    elif isinstance(record, Latency | Memory | Start | Energy):
        detail = record.batch_size
    elif record.target is not None:
        detail = None
    return (record.KIND, record.case, record.seed, record.target, detail)


def _group(record: Record) -> Hashable:
    return (record.KIND, record.case, record.seed, record.target)


def _apart(current: Sequence[Record]) -> list[Record]:
    machines: dict[str, Counter[str]] = {}
    for record in current:
        if record.target and record.fingerprint and isinstance(record, Latency):
            machines.setdefault(record.target, Counter())[record.fingerprint] += 1
    main = {target: counts.most_common(1)[0][0] for target, counts in machines.items() if len(counts) > 1}
    return [_named(record, main) for record in current]


def _named(record: Record, main: dict[str, str]) -> Record:
    if record.target not in main or record.fingerprint in (None, main[record.target]):
        return record
    return replace(record, target=f"{record.target}{ANOTHER_MACHINE}{record.fingerprint}")
