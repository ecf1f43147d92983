"""The texts of `kdbench plan` and `kdbench store`: what there is to do, and what there is. Runs nothing."""

from collections import Counter
from collections.abc import Sequence

from kdbench import units
from kdbench.files import free_bytes
from kdbench.plan.companies import MOST, companies
from kdbench.plan.estimate import from_store
from kdbench.plan.plan import Label, Plan
from kdbench.plan.teaching import stored_outputs
from kdbench.run.walk import default_jobs
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Entry, Store, older_than
from kdbench.suite.cases import Case


def plan_text(plan: Plan, labels: list[Label], store: Store) -> str:
    """Stages by kind and by case: all, in the store, to do; and about how long those take, where that is known."""
    have = {key: store.has(key) for key in plan.stages}
    todo = plan.needed(labels, have.__getitem__)
    touched = {label.key for label in labels} | {spec.key for spec in todo}
    left = Counter(spec.kind for spec in todo)
    total = Counter(plan.stages[key].kind for key in touched)
    rows = [(kind, str(total[kind]), str(total[kind] - left[kind]), str(left[kind])) for kind in total]
    lines = [f"Suite {plan.suite.name}: {len({label.case for label in labels})} rows, store {store.root}", ""]
    lines += _table([("stage", "all", "in store", "to do"), *rows])
    lines += ["", *_cases(plan, labels, have, {spec.key for spec in todo}), "", *_in_step(todo, plan)]
    lines += [*_views(todo), *_stored(todo, plan, store)]
    lines.append(_left(todo, plan, store))
    return "\n".join(lines)


def _cases(plan: Plan, labels: list[Label], have: dict[str, bool], todo: set[str]) -> list[str]:
    rows = [("case", "steps", "trained", "stages to do")]
    for case in dict.fromkeys(label.case for label in labels):
        known = plan.cases.get(case)
        steps = " > ".join(step.spec.name for step in known.steps) if known else "the teacher itself"
        mine = {key for label in labels if label.case == case for key in plan.lineage(label.key)}
        plain = "as it was given" if known and known.student.is_given else "trained on labels"
        trained = _trained(known, plan) if known else _trainings(plan, mine)
        rows.append((case, steps or plain, trained, str(len(mine & todo)) if mine & todo else "none"))
    return _table(rows)


def _trained(case: Case, plan: Plan) -> str:
    """What of a case is trained, and how often."""
    if not case.trains:
        return "nothing: one row"
    seeds = f"{len(plan.suite.seeds)} x"
    if not case.student.is_given:
        return f"{seeds} new weights"
    return f"{seeds} from the given weights, under {' and '.join(_recipes(case))}"


def _recipes(case: Case) -> list[str]:
    return list(dict.fromkeys(name for step in case.steps for name in step.recipes.values()))


def _trainings(plan: Plan, keys: set[str]) -> str:
    """Whether a teacher is trained here."""
    count = sum(plan.stages[key].kind == "train" for key in keys)
    return f"{count} x new weights" if count else "nothing: it came with weights"


def _in_step(todo: list[StageSpec], plan: Plan) -> list[str]:
    """How many students share passes of their teachers."""
    wanted = {spec.key for spec in todo}
    groups = [[spec for spec in company if spec.key in wanted] for company in companies(plan.stages.values())]
    groups = [group for group in groups if len(group) > 1]
    sizes = [sum(spec.kind == "compress" for spec in group) for group in groups]
    if not sizes:
        return []
    stored = sum(map(len, groups)) - sum(sizes)
    tables = "table" if stored == 1 else "tables"
    filled = f" These passes fill {stored} {tables} of stored outputs, too." if stored else ""
    return [
        f"{sum(sizes)} students that ask for a teacher's features go in step in {len(sizes)} groups of up to "
        f"{max(sizes)}, at most {MOST}: in each, one pass of the teacher a batch.{filled} "
        "Idle workers share a group out.",
    ]


def _views(todo: list[StageSpec]) -> list[str]:
    """Whether seeds can share stored outputs."""
    seeds = Counter(spec.inputs["teacher"] for spec in todo if spec.kind == "teach" and spec.seed is not None)
    if max(seeds.values(), default=0) < 2:
        return []
    return ["A view whose outputs are stored for one seed is looked up for the next, not computed again."]


def _stored(todo: list[StageSpec], plan: Plan, store: Store) -> list[str]:
    """How much disk the teachers' outputs take, and what to do where there is less."""
    stored = stored_outputs(todo, plan, store)
    if not stored.table_count:
        return []
    size, tables = units.size(stored.most_bytes), "table" if stored.table_count == 1 else "tables"
    said = f"{stored.table_count} {tables} of teachers' outputs may take {size} on disk"
    said += "." if stored.is_known else ", less where the data, once it is decoded, has fewer views."
    if stored.is_cut:
        said += " Some views find no room; for them the teacher computes as each student trains."
    free = free_bytes(store.root)
    if stored.most_bytes > free:
        said += f" {units.size(free)} are free: store less, by `stored: {{precision: fp16, top_k: 20}}` of the teacher."
    return [said]


def _left(todo: list[StageSpec], plan: Plan, store: Store) -> str:
    if not todo:
        return "Nothing to do: a run would only make the report again."
    estimate, jobs = from_store(plan, store), default_jobs(plan)
    workers = "one worker" if jobs == 1 else f"{jobs} workers"
    said = f"{len(todo):,} stages to do. With {workers}, {estimate.left(todo, jobs)}."
    chain, seconds = estimate.longest_chain(todo)
    if not seconds:
        return said
    names = " > ".join(spec.parts["technique"].name if "technique" in spec.parts else spec.kind for spec in chain)
    return f"{said} However many workers: {units.duration(seconds * 1e9)} for {names}."


def store_text(store: Store) -> str:
    """How much the store's stages take on disk, by kind and in all."""
    entries = store.entries()
    rows = [("stage", "folders", "size")]
    for kind in sorted({entry.kind for entry in entries}):
        mine = [entry.byte_count for entry in entries if entry.kind == kind]
        rows.append((kind, str(len(mine)), units.size(sum(mine))))
    total = sum(entry.byte_count for entry in entries)
    return "\n".join([f"Store {store.root}", "", *_table(rows), "", f"{len(entries)} stages, {units.size(total)}."])


def sweep(store: Store, days: float | None, used: set[str] | None) -> list[Entry]:
    """The entries to remove.

    days: those unused for so long; used: those with none of these keys. Given both, both must hold.
    """
    entries = store.entries() if days is None else older_than(store.entries(), days)
    return entries if used is None else [entry for entry in entries if entry.key not in used]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
