"""Sentences that every reader of a run should see: they go into plan.json and stand at the head of reports."""

from collections.abc import Iterator, Sequence

from kdbench.measure import energy
from kdbench.plan.plan import Plan
from kdbench.results.records import Compression, Record, Size
from kdbench.run.standing import Standing
from kdbench.stages.names import DESCRIPTION, RECORDS
from kdbench.stages.store import Store


def warnings(written: Sequence[Record], plan: Plan, store: Store, stays: Standing) -> Iterator[str]:
    """`written`: the records that the folder will have; `stays`: those of them that this run did not make."""
    yield from _of_decoding(plan, store)
    yield from _of_teachers(plan, store)
    yield from _no_smaller_than_teacher(written, plan)
    yield from _of_techniques(written, len(plan.suite.seeds))
    yield from _without_energy(plan)
    if stays.outdated:
        yield f"{', '.join(stays.outdated)}: these rows are of the suite as it was before; run them again."
    if stays.gone:
        yield f"{', '.join(stays.gone)}: no longer in the suite, so the results are no longer in the folder."


def _of_decoding(plan: Plan, store: Store) -> Iterator[str]:
    """Sentences of the tasks about their data: pictures that were left out, say."""
    for key, spec in plan.stages.items():
        if spec.kind == "decode" and store.has(key):
            yield from store.read_json(key, DESCRIPTION)["notes"]


def _of_teachers(plan: Plan, store: Store) -> Iterator[str]:
    """Sentences about outputs that were stored: each once, with the cases that learn from them."""
    taught: dict[str, list[str]] = {}
    for key, spec in plan.stages.items():
        for note in (
            store.read_json(key, RECORDS)[0].get("notes", ()) if spec.kind == "teach" and store.has(key) else ()
        ):
            learn = (label.case for label in plan.labels if key in plan.lineage(label.key))
            taught.setdefault(note, []).extend(learn)
    for note, cases in taught.items():
        yield f"{', '.join(dict.fromkeys(cases))}: {note}"


def _no_smaller_than_teacher(written: Sequence[Record], plan: Plan) -> Iterator[str]:
    counts = {r.case: r.parameter_count for r in written if isinstance(r, Size) and r.parameter_count}
    for case, count in counts.items():
        teacher = counts.get(plan.taught.get(case, ""))
        if teacher == count:
            yield f"{case} has {count:,} parameters, as many as its teacher."
        elif teacher is not None and teacher < count:
            yield f"{case} has {count:,} parameters, more than its teacher ({teacher:,})."


def _of_techniques(written: Sequence[Record], seed_count: int) -> Iterator[str]:
    """Sentences of techniques and exports about their work: each once, with its seeds unless it holds for all."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in written:
        if isinstance(record, Compression | Size):
            for note in record.notes:
                seeds.setdefault((record.case, note), []).append(record.seed)
    for (case, note), which in seeds.items():
        yield f"{case}: {note}" if len(which) == seed_count else f"{case}, seed {', '.join(map(str, which))}: {note}"


def _without_energy(plan: Plan) -> Iterator[str]:
    """Why energy that was asked for could not be read."""
    for target in plan.targets:
        if target.entry.energy:
            name, reason = energy.counter(target.entry.provider)
            if name is None:
                yield f"no energy was read on {target.id}: {reason}"
