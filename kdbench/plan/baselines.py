"""Finds the case that each case is compared with: the suite's baseline, or its own student, plain."""

from dataclasses import replace

from kdbench.suite.cases import AS_GIVEN, FROM_SCRATCH, Case, Suite


def baselines_of(suite: Suite) -> dict[str, Case]:
    """Case name -> the case that its ratios and differences refer to.

    That is the case which it names by `compare_with`. Else a case with the baseline's student is compared with the
    suite's `baseline`, and one with another student with the suite's case that only trains that student on labels, or
    takes it as it was given. Where the suite has none, such a case is added here, and named `CASE/from-scratch` or
    `CASE/as-given`.
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
            name = f"{case.name}/{AS_GIVEN if case.student.is_given else FROM_SCRATCH}"
            added = replace(case, name=name, steps=(), regularizer=None, compare_with=None)
            plain[student] = added
        found[case.name] = plain[student]
    return found
