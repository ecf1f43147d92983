"""Which timing of a file counts if there are several: the newest that is whole, whichever run asked for it."""

from collections.abc import Iterable, Sequence

from kdbench.errors import StoreError
from kdbench.plan.plan import Label, Plan
from kdbench.plan.rows import Repeats, make_plan
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.suite.selection import matching


def newest(store: Store) -> Repeats:
    """Means the newest repeat that the store has whole, so that no run goes back to older times; else the last one."""

    def number(spec: StageSpec) -> int:
        last = store.repeat(spec.repeated(0).key)
        whole = (n for n in range(last, -1, -1) if store.has(spec.repeated(n).key))
        return next(whole, last)

    return number


def afresh(store: Store, specs: Iterable[StageSpec]) -> Repeats:
    """Means a new repeat of each of these measurements, noted in the store, and the newest of every other."""
    first = {spec.repeated(0).key for spec in specs}
    asked = {key: store.ask_again(key) for key in sorted(first)}
    others = newest(store)
    return lambda spec: asked.get(spec.repeated(0).key) or others(spec)


def again(plan: Plan, store: Store, labels: Iterable[Label]) -> Plan:
    """The plan with a new repeat of each of these labels' measurements that the store has."""
    taken = [plan.stages[label.key] for label in labels if store.has(label.key)]
    return make_plan(plan.suite, plan.machine, afresh(store, taken))


def measurements(
    plan: Plan, store: Store, cases: Sequence[str] = (), seeds: Sequence[str] = (), targets: Sequence[str] = ()
) -> list[Label]:
    """The measurements that globs choose, without those of files that the store lacks.

    Raises SuiteError where a glob matches nothing, StoreError where the store has none of the files.
    """
    timed = [label for label in plan.labels if plan.stages[label.key].kind == "measure"]
    rows = matching("case", cases, list(dict.fromkeys(label.case for label in timed)))
    kept = matching("seed", seeds, list(dict.fromkeys(str(label.seed) for label in timed)))
    places = matching("target", targets, [target.id for target in plan.targets])
    chosen = [label for label in timed if label.case in rows and str(label.seed) in kept and label.target in places]
    ready = [label for label in chosen if all(map(store.has, plan.stages[label.key].inputs.values()))]
    if not ready:
        raise StoreError(
            f"the store '{store.root}' has no finished files of this suite to time; run it first: kdbench run "
            f"{plan.suite.document.path}"
        )
    return ready
