"""What each case is compared with: the suite's baseline, or the case's own student trained on labels."""

from dataclasses import replace

from kdbench.suite.cases import Case, StudentChoice, Suite

FROM_SCRATCH = "from-scratch"


def baselines_of(suite: Suite) -> dict[str, Case]:
    """Case name -> the case that its ratios and differences refer to.

    That is the case which it names by `compare_with`. Else a case with the baseline's student is compared with the
    suite's `baseline`, and one with another student with the suite's case that only trains that student on labels.
    Where the suite has none, such a case is added here, and named `CASE/from-scratch`.
    """
    baseline = suite.cases[suite.baseline]
    plain: list[tuple[StudentChoice, Case]] = [(case.student, case) for case in suite.cases.values() if case.plain]
    found: dict[str, Case] = {}
    for case in suite.cases.values():
        if case.compare_with is not None:
            found[case.name] = suite.cases[case.compare_with]
            continue
        if case.student == baseline.student:
            found[case.name] = baseline
            continue
        known = next((other for student, other in plain if student == case.student), None)
        if known is None:
            known = replace(case, name=f"{case.name}/{FROM_SCRATCH}", steps=(), regularizer=None)
            plain.append((case.student, known))
        found[case.name] = known
    return found
