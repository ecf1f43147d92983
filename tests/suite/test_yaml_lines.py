from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdbench.errors import SuiteError
from kdbench.suite.yaml_lines import Document, read


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def document(text: str | bytes) -> Document:
    """The document of a text. Raises SuiteError where there is any fault in it."""
    Path("d.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    found = read(Path("d.yaml"))
    if found.faults:
        raise SuiteError("\n".join(sentence for _, sentence in found.faults))
    return found


def value(text: str) -> object:
    return document(f"a: {text}\n").data["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5e-4", 5e-4),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("017", 17),
        ("true", True),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("2024-01-31", "2024-01-31"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        (".nan", ".nan"),
        ("'5'", "5"),
        ("[1, {b: c}]", [1, {"b": "c"}]),
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(text: str, expected: object) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


def test_every_key_and_item_knows_its_line() -> None:
    found = document("# top\na:\n  b: 1\n  c:\n    - x\n    - {d: 2,\n       e: 3}\n")
    places = {("a",): 2, ("a", "b"): 3, ("a", "c"): 4, ("a", "c", 0): 5, ("a", "c", 1, "d"): 6, ("a", "c", 1, "e"): 7}
    assert {place: found.line_of(place) for place in places} == places


def test_a_place_the_file_does_not_write_out_has_the_line_of_the_nearest_above() -> None:
    found = document("a:\n  b: 1\n")
    assert str(found.fail(("a", "b", "c"), "wrong.")) == "d.yaml:2: a.b.c: wrong."
    assert str(found.fail((), "wrong.")) == "d.yaml:1: wrong."


def test_variables_and_the_home_folder_are_expanded_and_relative_paths_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_THERE", "/there")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert value("${KDBENCH_THERE}/x") == "/there/x"
    assert value("~/x") == "/home/somebody/x"
    assert value("x/y~") == "x/y~"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "d.yaml: the file is empty."),
        ("# only a comment\n", "d.yaml: the file is empty."),
        ("---\n", "d.yaml: the file is empty."),
        ("a: 1\na: 2\n", "d.yaml:2: a is given twice (first at line 1)."),
        ("x:\n  a: {b: 1, b: 2}\n", "d.yaml:2: x.a.b is given twice (first at line 2)."),
        (
            "a: &here 1\n",
            "d.yaml:1: a: anchors and aliases (& and *) are not used here; write the value out.",
        ),
        (
            "a: 1\nb: *here\n",
            "d.yaml:2: b: anchors and aliases (& and *) are not used here; write the value out.",
        ),
        ("a: !!python/name:os.system x\n", None),
        ("a: !mine 1\n", "d.yaml:1: a: tags (!mine) are not used here; write the plain value."),
        ("a:\n  <<: {b: 1}\n", "d.yaml:2: a: merge keys (<<) are not used here; write the fields out."),
        ("a:\n  8: x\n", "d.yaml:2: a: a key is text; write '8' in quotes."),
        ("true: x\n", "d.yaml:1: a key is text; write 'true' in quotes."),
        ("? [1]\n: x\n", "d.yaml:1: a key is plain text here, without anchors and tags."),
        ("a: 1\n---\nb: 2\n", "d.yaml:2: a second document starts here; a file holds one."),
        ("a:\n\tb: 1\n", "d.yaml:2: a tab stands where YAML takes only spaces; indent with spaces."),
        ("a: 1\nb: c: d\n", "d.yaml:2: this is not YAML: mapping values are not allowed here."),
        (
            "a: {b: ${X}/c}\n",
            "d.yaml:1: this is not YAML: expected ',' or '}', but got '{'; "
            "inside {...} and [...], put text with ${VARIABLE} in quotes.",
        ),
        ("a: 1\nb: \x01\n", "d.yaml:2: the character U+0001 is not allowed in YAML."),
        ('a: "\\0"\n', "d.yaml:1: a: this holds a control character, which text does not have."),
        ("a: 99999999999999999999\n", "d.yaml:1: a: this number is too large."),
        (b"a: 1\nb: \xff\n", "d.yaml:2: this is not UTF-8 text; save the file as UTF-8."),
        ("[" * 200, "d.yaml:1: 0.0.0: this is nested more than 50 deep."),
    ],
)
def test_what_a_suite_cannot_be_written_in_is_said_with_its_line(text: str | bytes, expected: str | None) -> None:
    with pytest.raises(SuiteError) as error:
        document(text)
    assert expected is None or str(error.value) == expected


def test_every_fault_is_told_and_a_last_one_that_hides_the_rest() -> None:
    with pytest.raises(SuiteError) as error:
        document("a: 1\na: &x 2\n8: ${NOBODY_SETS_THIS}\nb: [1\nc: 2\n")
    assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == [
        "d.yaml:2",
        "d.yaml:2",
        "d.yaml:3",
        "d.yaml:3",
        "d.yaml:5",
    ]
    assert str(error.value).splitlines()[-1] == "d.yaml:5: this is not YAML: expected ',' or ']', but got ':'."


def test_a_file_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(SuiteError, match=r"^nowhere\.yaml: cannot be read \(No such file or directory\)\.$"):
        read(Path("nowhere.yaml"))


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert document(b"\xef\xbb\xbfa: 1\n").data == {"a": 1}


YAML_LIKE = st.text(st.sampled_from("ab01 :-,[]{}&*!|>'\"%@`#?\\~\n\t.$Ux\u2028\x07é<="), max_size=40)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(YAML_LIKE, st.binary(max_size=20)))
def test_any_bytes_are_a_document_or_a_sentence_for_each_fault(text: str | bytes) -> None:
    try:
        complaint = "" if document(text).data is not None else "no data"
    except SuiteError as error:
        complaint = str(error)
    assert all(line.startswith("d.yaml:") for line in complaint.split("\n") if complaint)
