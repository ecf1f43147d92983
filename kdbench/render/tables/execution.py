"""Where each file ran, one table a target: the proof behind every latency. Failed rows stay, with their reason."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from kdbench import units
from kdbench.evidence import CaseView, Evidence, ExecutionView
from kdbench.render.tables.cells import Cell, Column, Table
from kdbench.render.tables.columns import ColumnSpec, case_column, filled, plain, reason, texts
from kdbench.render.tables.latency_columns import NO_KERNELS, share_text
from kdbench.render.tables.target_table import TargetTable, everybody
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import NOT_TIMED, listed, quoted, quoted_list, target_place
from kdbench.results.records import CallSize, Latency

NO_NODES = "the runtime did not say which nodes ran where"
NO_TIMES = "the runtime did not say how long each kernel took"
NO_PRECISION = "the runtime did not say what it computed in"
NO_ANSWERS = "the answers of the timed sessions were not recorded"
NO_HOME = "its answers were not compared with those at home"
STARTED_ONLY = "its kernels run on after they are started, so the profile does not hold their time"
LEGEND = {
    "nodes": "Nodes: of the file's graph, as the runtime gave them to providers before it fused any.",
    "kernels": "Kernels: of one inference, from the runtime's own profile of a session beside the timed ones; a part "
    "of the graph that a provider took whole is one. What ran elsewhere stands behind, with its provider.",
    "int8": "In int8: of the convolutions and matrix products.",
    "answers": "Same answers: examples that the timed sessions gave the class that was evaluated; the least of all "
    "seeds.",
    "home": "Same as at home: examples that the device gave the class that onnxruntime's CPU provider gave where its "
    "files came from; the least of all seeds.",
}
Said = Callable[[ExecutionView], str]
"""Puts one fact of an execution into text; empty if it was not recorded."""


def execution_tables(evidence: Evidence) -> tuple[TargetTable, ...]:
    """One table for each target on which the runtime told where files ran, or a timing failed."""
    rows = everybody(len(evidence.cases))
    return tuple(
        TargetTable(target_place(target), _table(evidence, target), tuple(_said(evidence, target)), rows)
        for target in evidence.targets
        if _is_told(evidence, target)
    )


def _is_told(evidence: Evidence, target: str) -> bool:
    failed = evidence.results.failures(kind=Latency)
    return bool(_views(evidence, target)) or any(record.target == target for record in failed)


def _views(evidence: Evidence, target: str) -> list[tuple[CaseView, ExecutionView]]:
    """The executions on a target that say where a file ran, with their cases."""
    return [
        (case, view)
        for case in evidence.cases
        for (where, _), view in case.execution.items()
        if where == target and view.is_known
    ]


def _table(evidence: Evidence, target: str) -> Table:
    cases = evidence.cases
    batches = [batch for where, batch in evidence.settings if where == target]
    columns = [
        *_columns(cases, target, batches, "nodes", "Nodes", "given to the asked provider", _nodes, NO_NODES),
        *_columns(cases, target, batches, "kernels", "Kernels", "on the asked provider", _kernels, NO_KERNELS),
        *_columns(cases, target, batches, "kernel_time", "Kernel time", "% on the asked provider", _times, NO_TIMES),
        *_columns(cases, target, batches, "computed", "Computed in", "", _precision, NO_PRECISION),
        *_columns(cases, target, batches, "int8", "In int8", "% of kernels", _int8, NO_KERNELS),
        *_columns(cases, target, batches, "answers", "Same answers", "% of timed examples", _answers, NO_ANSWERS),
        *filled([_home(target)], cases),
    ]
    first, *others = columns or filled([_failed(target)], cases)
    first = replace(
        first, cells=tuple(_named(case, target, cell) for case, cell in zip(cases, first.cells, strict=True))
    )
    legend = tuple(sentence for key, sentence in LEGEND.items() if key in {column.key for column in columns})
    return Table(cases, (case_column(cases), first, *others), legend)


def _columns(
    cases: Sequence[CaseView], target: str, batches: Sequence[CallSize], key: str, title: str, unit: str, said: Said,
    otherwise: str,
) -> list[Column]:  # fmt: skip
    """One column, or one a batch size if those differ; none if the runtime told it of no case."""
    views = [view for case in cases for (where, _), view in case.execution.items() if where == target]
    if not any(said(view) for view in views):
        return []
    specs = {batch: _spec(target, batch, key, title, unit, said, otherwise) for batch in batches}
    by_batch = {batch: column for batch, spec in specs.items() if (column := spec.fill(cases))}
    if len({column.cells for column in by_batch.values()}) == 1:
        return [replace(by_batch[batches[0]], place="")]
    return list(by_batch.values())


def _spec(
    target: str, batch: CallSize, key: str, title: str, unit: str, said: Said, otherwise: str
) -> ColumnSpec[str]:  # fmt: skip
    """One fact of every case at a batch size. Where some seeds failed, the others carry a note."""

    def told(case: CaseView) -> str | None:
        return (said(view) or None) if (view := case.execution.get((target, batch))) else None

    def missing(case: CaseView) -> str:
        view = case.execution.get((target, batch))
        started = view is not None and view.is_asynchronous and said is _times
        return reason(case.problems_on(target), NOT_TIMED if view is None else STARTED_ONLY if started else otherwise)

    def notes(case: CaseView) -> list[str]:
        return ["; ".join(problems)] if (problems := case.problems_on(target)) else []

    return ColumnSpec(key, title, told, texts(unit), missing, place=f"batch {batch}", notes=notes)


def _named(case: CaseView, target: str, cell: Cell) -> Cell:
    """The cell with "failed" or "skipped" in place of its dash, if that is the reason."""
    problems = case.problems_on(target)
    return replace(cell, text=problems[0].split()[0]) if problems and cell.text == units.MISSING else cell


def _home(target: str) -> ColumnSpec[float]:
    """On a device: how often it answers as the machine that its files came from."""

    def share(case: CaseView) -> float | None:
        return view.home_agreement if (view := case.score.get(target)) else None

    return ColumnSpec(
        "home", "Same as at home", share, plain(_agreement, "% of its examples"), NO_HOME, targets=(target,),
        is_optional=True,
    )  # fmt: skip


def _failed(target: str) -> ColumnSpec[str]:
    """A column of reasons, for a target on which nothing ran."""
    return ColumnSpec(
        "nodes", "Nodes", lambda case: None, texts("given to the asked provider"), NOT_TIMED, targets=(target,)
    )


def _nodes(view: ExecutionView) -> str:
    return _counted(view.node_counts)


def _kernels(view: ExecutionView) -> str:
    return _counted(view.kernel_counts)


def _counted(counts: Mapping[str, float]) -> str:
    """5 of 7, CPUExecutionProvider 2."""
    if not counts:
        return ""
    (_, own), *others = counts.items()
    total = f"{_count(own)} of {_count(sum(counts.values()))}"
    return ", ".join([total, *(f"{name} {_count(count)}" for name, count in others)])


def _count(mean: float) -> str:
    return units.number(mean, 0 if mean == round(mean) else 1)


def _times(view: ExecutionView) -> str:
    """88, CPUExecutionProvider 12."""
    if not view.kernel_time_shares:
        return ""
    (_, own), *others = view.kernel_time_shares.items()
    return ", ".join([share_text(own), *(f"{name} {share_text(share)}" for name, share in others)])


def _precision(view: ExecutionView) -> str:
    return listed(view.effective_precisions) if view.effective_precisions else ""


def _int8(view: ExecutionView) -> str:
    return "" if view.int8_kernel_fraction is None else share_text(view.int8_kernel_fraction)


def _answers(view: ExecutionView) -> str:
    return "" if view.answers_agreement is None else _agreement(view.answers_agreement)


def _agreement(share: float) -> str:
    """A share in per cent; only all examples are 100."""
    return "100" if share == 1 else units.percent(min(share, 0.9999), 2)


def _said(evidence: Evidence, target: str) -> Iterator[Sentence]:
    """What was asked for, then everything that came out otherwise."""
    views = _views(evidence, target)
    if not views:
        return
    yield Sentence(f"Asked for {listed(_asked([view for _, view in views]))}.")
    partly = {case.name: share_text(v.asked_share or 0.0) for case, v in views if v.elsewhere}
    others = listed([quoted(name) for name in dict.fromkeys(name for _, view in views for name in view.elsewhere)])
    if partly:
        yield Sentence(f"Not all of it ran there; {others} did the rest: {_each(partly, '% there')}.")
    else:
        yield Sentence("Every kernel that ran, ran there.")
    precise = {case.name: _precision(view) for case, view in views if _is_other(view)}
    if precise:
        yield Sentence(f"Computed in another precision than the target's name says: {_each(precise, '')}.")
    for note in dict.fromkeys(note for _, view in views for note in view.notes):
        noted = [case.name for case, view in views if note in view.notes]
        yield Sentence(f"{note} ({quoted_list(noted)}).")
    changed = {case.name: _answers(view) for case, view in views if (view.answers_agreement or 1.0) < 1}
    if changed:
        yield Sentence(
            f"The timed sessions did not give the answers that were evaluated: {_each(changed, '% the same')}."
        )


def _asked(views: Sequence[ExecutionView]) -> list[str]:
    """Every combination of provider, runtime and options, once."""
    said = []
    for view in views:
        told = listed([quoted(f"{name}={value}") for name, value in sorted(view.options.items())])
        said.append(f"{quoted(view.asked)} of {view.runtime}{f', told {told}' if told else ''}")
    return list(dict.fromkeys(said))


def _each(texts: Mapping[str, str], unit: str, most: int = 6) -> str:
    """`a` (88 % of kernel time), `b` (…); how many, where a sentence has no room for them."""
    if len(texts) > most:
        return quoted_list(list(texts))
    return listed([f"{quoted(name)} ({f'{text} {unit}'.strip()})" for name, text in texts.items()])


def _is_other(view: ExecutionView) -> bool:
    """Whether it computed in floating-point numbers of another kind than asked."""
    parts = {part for text in view.effective_precisions for part in text.split("+")}
    return any(part != view.precision_asked and "int" not in part for part in parts)
