"""Finds the case that each case is compared with: the suite's baseline, or its own student trained on labels."""

from dataclasses import replace

from kdbench.suite.cases import Case, Suite

FROM_SCRATCH = "from-scratch"


def baselines_of(suite: Suite) -> dict[str, Case]:
    """Case name -> the case that its ratios and differences refer to.

    That is the case which it names by `compare_with`. Else a case with the baseline's student is compared with the
    suite's `baseline`, and one with another student with the suite's case that only trains that student on labels.
    Where the suite has none, such a case is added here, and named `CASE/from-scratch`.
    """
    baseline = suite.cases[suite.baseline]
    plain: dict[str, Case] = {}
    for case in suite.cases.values():
        if case.plain:
            plain.setdefault(repr(case.student), case)
    found: dict[str, Case] = {}
    for case in suite.cases.values():
        if case.compare_with is not None:
            found[case.name] = suite.cases[case.compare_with]
            continue
        if case.student == baseline.student:
            found[case.name] = baseline
            continue
        student = repr(case.student)
        if student not in plain:
            added = replace(case, name=f"{case.name}/{FROM_SCRATCH}", steps=(), regularizer=None, compare_with=None)
            plain[student] = added
        found[case.name] = plain[student]
    return found
