"""A check as JUnit XML: a test case for every row. Regressions fail, what could not be done errs, doubts are skipped.

Elements and attributes are those that Jenkins' junit-10.xsd and pytest's xunit2 share; sentences stand as attribute
and as text, since GitLab shows the one and Jenkins both.
"""

import re
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from kdbench.check import Checked, Row, Verdict
from kdbench.check.verdicts import FAILURES, REGRESSIONS
from kdbench.render.verbs.check import words

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 (section 2.2, Char) does not allow."""


def as_junit(checked: Checked) -> str:
    """One suite in `testsuites`. A check of nothing holds one error: reporters take an empty suite for a success."""
    counts = {
        "tests": len(checked.rows) or 1,
        "failures": sum(row.verdict in REGRESSIONS for row in checked.rows),
        "errors": sum(row.verdict in FAILURES for row in checked.rows) if checked.rows else 1,
    }
    skipped = sum(row.verdict is Verdict.CANNOT_TELL for row in checked.rows)
    times = {"time": _seconds(checked.wall_ns)}
    named = {name: str(count) for name, count in counts.items()}
    suites = Element("testsuites", {"name": "kdbench check", **named, **times})
    own = {"name": _clean(checked.suite), **named, "skipped": str(skipped), **times, **_timestamp(checked)}
    suite = SubElement(suites, "testsuite", own)
    _add_properties(suite, checked)
    for row in words.in_order(checked):
        _add_case(suite, checked, row)
    if not checked.rows:
        case = SubElement(suite, "testcase", _case(checked.suite, "measured something", 0))
        _add_outcome(case, "error", "nothing measured", words.NOTHING)
    if checked.notes:
        SubElement(suite, "system-out").text = _clean("\n".join(checked.notes))
    indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suites, encoding="unicode")}\n'


def _add_properties(suite: Element, checked: Checked) -> None:
    facts = {
        "new": checked.new,
        "reference": checked.reference,
        "exit_code": str(checked.exit_code),
        **{f"machine {place}": text for place, text in enumerate(words.machines(checked), start=1)},
    }
    properties = SubElement(suite, "properties")
    for name, value in facts.items():
        SubElement(properties, "property", {"name": name, "value": _clean(value)})


def _add_case(suite: Element, checked: Checked, row: Row) -> None:
    where = words.place(row)
    name = f"{words.metric(row)}{f' on {where}' if where else ''}, {words.seed_words(row)}"
    calls = (*row.samples_ns, *row.reference_samples_ns)
    case = SubElement(suite, "testcase", _case(f"{checked.suite}.{row.case}", name, sum(map(sum, calls))))
    if row.verdict in REGRESSIONS:
        _add_outcome(case, "failure", row.verdict, words.sentence(row))
    elif row.verdict in FAILURES:
        _add_outcome(case, "error", row.verdict, words.sentence(row))
    elif row.verdict is Verdict.CANNOT_TELL:
        _add_outcome(case, "skipped", row.verdict, words.sentence(row))
    else:
        SubElement(case, "system-out").text = _clean(words.sentence(row))


def _case(classname: str, name: str, time_ns: int) -> dict[str, str]:
    return {"classname": _clean(classname), "name": _clean(name), "time": _seconds(time_ns)}


def _add_outcome(case: Element, outcome: str, kind: str, said: str) -> None:
    SubElement(case, outcome, {"type": str(kind), "message": _clean(f"{kind}: {said}")}).text = _clean(said)


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3f}"


def _timestamp(checked: Checked) -> dict[str, str]:
    """To the second and without a zone, as JUnit's schemas want it; what is no moment is left out."""
    try:
        moment = datetime.fromisoformat(checked.created_utc)
    except ValueError:
        return {}
    at = moment.astimezone(UTC) if moment.tzinfo else moment
    return {"timestamp": f"{at:%Y-%m-%dT%H:%M:%S}"}


def _clean(text: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
