"""Scores that `kdbench score` added to a results folder, when its suite is run into it again."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kdbench import registry
from kdbench.errors import KdbenchError
from kdbench.results.further_scores import add_metric
from kdbench.results.records import Record, Score


def own_scores(former: Iterable[Record], made: Sequence[Record]) -> list[Score]:
    """Those of a user's own files that still hold: of the same files' answers, by pseudo-values kept beside them.

    A folder may come from anybody, so that what it names is not run again.
    """
    answered = {_file(record) for record in made if isinstance(record, Score)}
    return [one for one in _added(former) if registry.is_file(one.metric) and _file(one) in answered]


def score_again(folder: Path, former: Iterable[Record], kept: Iterable[Record]) -> Iterator[str]:
    """Judge every file of the folder by the registered metrics that were added before; sentences on what is lost.

    kept: what was written into the folder.
    """
    there = {one.metric for one in _added(kept)}
    for name in dict.fromkeys(one.metric for one in _added(former)):
        if not registry.is_file(name):
            try:
                add_metric(folder, name)
            except KdbenchError as error:
                if name not in there:
                    yield f"The scores by {name} were not kept: {error}"
        elif name not in there:
            yield f"The scores by {name} were of other files; `kdbench score {folder} --metric {name}` adds them again."


def _added(rows: Iterable[Record]) -> Iterator[Score]:
    return (row for row in rows if isinstance(row, Score) and row.added)


def _file(record: Score) -> tuple[str, int, str | None, str]:
    return record.case, record.seed, record.target, record.key
