"""A check in every form: what it says first, what a reader of that form needs, and texts that no form trips over."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from checked_by_hand import HOSTILE, ONE, accuracy, checked, every_verdict, latency, size
from click.testing import CliRunner
from rich.console import Console

from kdbench.check import Checked, Row, Verdict
from kdbench.cli import cli
from kdbench.errors import KdbenchError, StoreError
from kdbench.render.verbs.check import FORMS, output, words, write, written
from kdbench.render.verbs.check.benchmark import statistics
from kdbench.render.verbs.check.commit import UNVERSIONED, commit_info
from kdbench.render.verbs.check.markdown import MOST_NOT_OK

WORST_FIRST = ["slower", "less accurate", "larger", "wrong provider", "errored", "cannot tell", "ok"]


def junit(check: Checked) -> ElementTree.Element:
    return ElementTree.fromstring(written(check, "junit").encode())


def cases(check: Checked, outcome: str) -> list[ElementTree.Element]:
    return [case for case in junit(check).iter("testcase") if case.find(outcome) is not None]


def verdicts_in(text: str, pattern: str) -> list[str]:
    """In the order of the lines that begin with one, each once."""
    found = [match.group(1) for line in text.splitlines() if (match := re.match(pattern, line))]
    return list(dict.fromkeys(found))


def test_the_terminal_shows_the_answer_then_the_worst_rows_first() -> None:
    text = written(every_verdict(), "text", Console(width=160, color_system=None))
    assert text.startswith("quickstart: regression confirmed (exit code 3): 2 slower, 1 less accurate, 1 larger,")
    assert verdicts_in(text, f"({'|'.join(WORST_FIRST)})  ") == WORST_FIRST
    assert text.index("+9.4 %") < text.index("+4.3 %"), "of two slower rows the slower stands first"


def test_columns_of_the_terminal_table_stand_under_their_headings() -> None:
    lines = written(every_verdict(), "text", Console(width=160, color_system=None)).splitlines()
    heading = next(line for line in lines if line.startswith("Verdict"))
    rows = lines[lines.index(heading) + 1 :][: len(every_verdict().rows)]
    assert [heading.index(name) for name in ("Case", "Metric")] == [rows[0].index("pruned"), rows[0].index("latency")]
    for name, ending in (("Limit", "+3.0 %"), ("New", "399 µs"), ("Reference", "365 µs")):
        end = heading.index(name) + len(name)
        assert rows[0][:end].endswith(ending)


def test_a_narrow_terminal_loses_columns_and_no_verdict() -> None:
    text = written(every_verdict(), "text", Console(width=60, color_system=None))
    assert max(map(len, text.splitlines())) <= 60
    assert verdicts_in(text, f"({'|'.join(WORST_FIRST)})  ") == WORST_FIRST
    assert "Reference" not in text


def test_seeds_are_told_apart_where_there_are_several() -> None:
    one, two = latency("soft", Verdict.OK, 1.0), latency("soft", Verdict.SLOWER, 1.1, seed=1)
    assert "Seed" not in written(checked(one), "text")
    text, markdown = written(checked(one, two), "text"), written(checked(one, two), "markdown")
    assert "slower: soft, seed 1, latency on cpu, 1 thread, batch 1" in text
    assert "| **slower** | soft | 1 | latency |" in markdown


def test_colours_are_for_terminals_only() -> None:
    assert "\x1b[" in written(every_verdict(), "text", Console(force_terminal=True, color_system="standard"))
    assert "\x1b[" not in written(every_verdict(), "text")


@pytest.mark.parametrize(
    ("rows", "code", "answer"),
    [
        ((latency("a", Verdict.OK, 1.0),), 0, "no regression"),
        ((latency("a", Verdict.ERRORED, 1.0), latency("b", Verdict.CANNOT_TELL, 1.02)), 1, "something errored"),
        ((latency("a", Verdict.ERRORED, 1.0), size("b", Verdict.LARGER, 1.1)), 3, "regression confirmed"),
        ((latency("a", Verdict.CANNOT_TELL, 1.02), latency("b", Verdict.OK, 1.0)), 4, "cannot tell"),
        ((), 4, "cannot tell"),
    ],
)
def test_every_form_says_what_the_exit_code_means(rows: tuple[Row, ...], code: int, answer: str) -> None:
    check = checked(*rows)
    assert f"quickstart: {answer} (exit code {code})" in written(check, "text")
    mark, _, heading, *_ = written(check, "markdown").splitlines()
    assert (mark, heading) == ("<!-- kdbench check of quickstart -->", f"### kdbench check of quickstart: {answer}")
    assert f"exit code {code}" in written(check, "markdown")
    data = json.loads(written(check, "json"))
    assert (data["exit_code"], data["answer"]) == (code, answer)
    assert junit(check).find(f".//property[@name='exit_code'][@value='{code}']") is not None


def test_changes_are_of_the_new_file_against_the_reference_and_so_signed() -> None:
    assert words.change(latency("a", Verdict.SLOWER, 1.05, low=1.04, high=1.06)) == "+5.0 % (+4.0 to +6.0)"
    assert words.change(accuracy("a", Verdict.LESS_ACCURATE, 0.02)) == "−2.00 points (−2.40 to −1.60)"
    assert words.limit(accuracy("a", Verdict.LESS_ACCURATE, 0.02)) == "−1.00 points"
    assert words.change(size("a", Verdict.LARGER, 1.0005)) == "+0.05 %"
    assert words.change(size("a", Verdict.OK, 1.0)) == "0 %"
    assert words.change(size("a", Verdict.LARGER, 49.3795)) == "49.4x"
    assert words.change(latency("a", Verdict.SLOWER, 3.044, low=3.026, high=3.053)) == "3.04x (3.03 to 3.05)"
    assert words.change(latency("a", Verdict.OK, 1.0, low=1.0, high=1.0)) == "0 %", "the same file"
    assert words.measured(size("a", Verdict.OK, 1.0), 12_900) == "12,900 B"


def test_an_accuracy_that_cannot_be_told_says_how_many_examples_would() -> None:
    """A drop of 1.5 points with a half of 2.5: (2.576 / 1.960 x 2.5 / 1.5)^2 = 4.8 times the examples."""
    row = accuracy("a", Verdict.CANNOT_TELL, 0.015, 0.025)
    assert words.need(row) == "If that drop is real, about 4.8x as many test examples would tell."
    assert words.need(accuracy("a", Verdict.OK, 0.006, 0.025)) == ""
    assert words.need(accuracy("a", Verdict.CANNOT_TELL, 0.0, value=None)) == ""
    assert words.need(latency("a", Verdict.CANNOT_TELL, 1.0)) == "", "the gate's own sentence says it"
    for form in ("text", "markdown", "junit"):
        assert "4.8x as many test examples" in " ".join(written(checked(row), form).split())


def test_rows_of_all_seeds_together_say_so() -> None:
    check = checked(accuracy("soft", Verdict.LESS_ACCURATE, 0.03, seed=None), latency("soft", Verdict.OK, 1.0))
    assert "less accurate: soft, all seeds, accuracy on cpu, 1 thread" in written(check, "text")
    assert "| **less accurate** | soft | all | accuracy |" in written(check, "markdown")
    assert cases(check, "failure")[0].get("name") == "accuracy on cpu, 1 thread, all seeds"


def test_notes_on_what_has_no_row_are_in_every_form_for_people() -> None:
    check = checked(size("a", Verdict.OK, 1.0), notes=("The case 'new' is not in the reference.",))
    for form in ("text", "markdown", "junit"):
        assert "The case 'new' is not in the reference." in written(check, form)
    assert junit(check)[0].findtext("system-out") == "The case 'new' is not in the reference."


def test_markdown_shows_what_is_not_ok_and_folds_the_rest() -> None:
    shown, _, folded = written(every_verdict(), "markdown").partition("<details>")
    assert verdicts_in(shown, r"\| \*\*([a-z ]+)\*\* \|") == WORST_FIRST[:-1]
    assert "| ok |" not in shown
    assert folded.count("\n| ok |") == 3
    assert "AMD EPYC 9B14, 2 cores, onnxruntime 1.31.1" in folded
    assert "in 1 min 05 s" in folded


def test_markdown_without_trouble_is_the_answer_and_a_folded_table() -> None:
    shown, _, _ = written(checked(size("a", Verdict.OK, 1.0)), "markdown").partition("<details>")
    assert shown.split("\n\n")[2] == "**1 ok**: results/new against baseline.zip; exit code 0."
    assert "|" not in shown


def test_markdown_of_a_thousand_slow_rows_fits_a_comment_on_github() -> None:
    rows = [latency(f"case-{'x' * 60}-{place}", Verdict.SLOWER, 1.1, said="why " * 200) for place in range(1000)]
    text = written(checked(*rows), "markdown")
    assert len(text) < 65_536
    assert f"And {1000 - MOST_NOT_OK} more, in the JSON." in text


def test_junit_fails_regressions_errs_on_what_could_not_run_and_skips_doubts() -> None:
    suite = junit(every_verdict())[0]
    counted = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": 11, "failures": 4, "errors": 2, "skipped": 2}
    assert len(suite.findall("testcase")) == 11
    assert [case.find("failure").get("type") for case in cases(every_verdict(), "failure")] == [  # type: ignore[union-attr]
        *("slower", "slower", "less accurate", "larger")
    ]
    (lost, crashed) = cases(every_verdict(), "error")
    assert lost.get("classname") == "quickstart.pruned"
    assert lost.get("name") == "latency on openvino, 2 threads, batch 1, seed 0"
    assert crashed[0].get("message") == "errored: The measuring process was killed by SIGSEGV."
    assert crashed[0].text == "The measuring process was killed by SIGSEGV.", "GitLab shows the text only"
    assert suite.get("timestamp") == "2026-11-21T19:20:05"


def test_junit_names_are_unique_so_that_reporters_keep_every_row() -> None:
    rows = [
        *(latency("a", Verdict.OK, 1.0, seed=seed, batch_size=size) for seed in (0, 1) for size in (1, 8)),
        *(accuracy("a", Verdict.OK, 0.0, target=target) for target in (ONE, "local-cuda-1t-tf32")),
        size("a", Verdict.OK, 1.0),
    ]
    names = [(case.get("classname"), case.get("name")) for case in junit(checked(*rows)).iter("testcase")]
    assert len(set(names)) == len(rows)


def test_a_check_of_nothing_is_red_in_junit() -> None:
    suite = junit(checked())[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert "nothing was measured" in str(suite.find("testcase/error").get("message"))  # type: ignore[union-attr]


def test_json_holds_everything_and_reads_back_as_the_same_check() -> None:
    check = every_verdict()
    data = json.loads(written(check, "json"))
    assert data["schema"] == 2
    rows = [{name: _tuples(value) for name, value in row.items()} for row in data["rows"]]
    kept = {field.name: data[field.name] for field in dataclasses.fields(Checked)}
    again = Checked(
        **{name: _tuples(value) for name, value in kept.items() if name != "rows"},
        rows=tuple(Row(**{**row, "verdict": Verdict(row["verdict"])}) for row in rows),
    )
    assert again == check


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def test_statistics_are_of_all_calls() -> None:
    """Five calls: the median is the third; one lies beyond 1.5 interquartile ranges."""
    found = statistics([0.5, 0.1, 0.2, 0.3, 9.0])
    assert (found["min"], found["max"], found["median"], found["rounds"], found["iqr_outliers"]) == (
        0.1,
        9.0,
        0.3,
        5,
        1,
    )


def test_without_pytest_benchmark_the_form_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest_benchmark.stats", None)
    with pytest.raises(KdbenchError, match="pip install pytest-benchmark"):
        written(every_verdict(), "pytest-benchmark")


def test_benchmarks_are_the_latencies_in_seconds_with_their_ratio() -> None:
    check = every_verdict()
    found = json.loads(written(check, "pytest-benchmark"))["benchmarks"]
    timed = [row for row in check.rows if row.samples_ns]
    assert [bench["stats"]["rounds"] for bench in found] == [303] * len(timed)
    slowest = next(bench for bench in found if bench["name"].startswith("pruned["))
    row = next(row for row in timed if row.case == "pruned")
    assert slowest["group"] == "local-cpu-1t-fp32/batch 1"
    assert slowest["stats"]["data"][0] == row.samples_ns[0][0] / 1e9
    assert slowest["extra_info"]["verdict"] == "slower"
    assert slowest["extra_info"]["ratio_to_reference"] == 1.094
    assert len({bench["fullname"] for bench in found}) == len(found)


def test_pytest_benchmark_compares_two_checks(tmp_path: Path) -> None:
    old = checked(latency("soft", Verdict.OK, 1.0), latency("hard", Verdict.OK, 1.0))
    new = checked(latency("soft", Verdict.SLOWER, 1.2), latency("hard", Verdict.OK, 1.0))
    for name, check in (("old", old), ("new", new)):
        write(check, "pytest-benchmark", tmp_path / f"{name}.json")
    said = compare(tmp_path, "--columns=median,rounds", "--group-by=fullname", "old.json", "new.json")
    first = next(line for line in said.splitlines() if line.startswith("soft[") and "(old)" in line)
    second = next(line for line in said.splitlines() if line.startswith("soft[") and "(new)" in line)
    assert "(1.0)" in first
    assert "(1.20)" in second, "the median is 1.2 times the other's"


def test_pytest_benchmark_lists_a_check_of_which_nothing_was_timed(tmp_path: Path) -> None:
    write(checked(size("a", Verdict.OK, 1.0)), "pytest-benchmark", tmp_path / "one.json")
    assert "Legend" in compare(tmp_path, "one.json")


def compare(folder: Path, *arguments: str) -> str:
    """What pytest-benchmark says of files in a folder."""
    command = [sys.executable, "-W", "ignore", "-m", "pytest_benchmark", "compare", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Failed to load" not in done.stderr
    return done.stdout


def test_the_commit_is_what_git_says_of_the_checked_folder(tmp_path: Path) -> None:
    assert commit_info(str(tmp_path)) == UNVERSIONED
    assert commit_info(str(tmp_path / "nowhere")) == UNVERSIONED
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    assert commit_info(str(tmp_path)) == UNVERSIONED, "a repository without a commit"
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    found = commit_info(str(tmp_path))
    assert (found["id"], found["branch"], found["dirty"]) == (head, "trunk", False)
    (tmp_path / "a").write_text("2")
    git(tmp_path, "checkout", "--quiet", "--detach")
    found = commit_info(str(tmp_path))
    assert (found["branch"], found["dirty"], found["project"]) == ("(detached head)", True, tmp_path.name)


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def hostile() -> Checked:
    """Every text of a check is one that no form expects."""
    rows = [latency(HOSTILE, verdict, 1.1, target=HOSTILE, said=HOSTILE) for verdict in Verdict]
    return checked(*rows, suite=HOSTILE, new=HOSTILE, reference=HOSTILE, created_utc=HOSTILE, notes=(HOSTILE,),
                   environments={HOSTILE: {"cpu": HOSTILE, "runtime": HOSTILE, "gpus": [HOSTILE]}})  # fmt: skip


def test_junit_is_well_formed_with_any_text(hostile: Checked) -> None:
    suite = junit(hostile)[0]
    assert suite.find("testcase/failure").get("message", "").startswith("slower: a|b <i>&\"'`]]>")  # type: ignore[union-attr]
    assert "timestamp" not in suite.attrib


def test_markdown_keeps_any_text_in_its_cell(hostile: Checked) -> None:
    lines = written(hostile, "markdown").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {7, 9}
    assert not [line for line in lines if line.startswith("# head")]
    assert "<i>" not in "".join(lines)


def test_a_terminal_gets_no_control_characters_from_any_text(hostile: Checked) -> None:
    text = written(hostile, "text")
    assert all(sign.isprintable() for sign in text.replace("\n", ""))
    assert "[bold]x[/bold]" in " ".join(text.split())


@pytest.mark.parametrize("form", FORMS)
def test_any_text_can_be_written_to_a_file(form: str, hostile: Checked, tmp_path: Path) -> None:
    path = write(hostile, form, tmp_path / "new" / "folder" / "file")
    assert path.read_text(encoding="utf-8").endswith("\n")


READERS: dict[str, Callable[[str], object]] = {"json": json.loads, "pytest-benchmark": json.loads}


@pytest.mark.parametrize("form", READERS)
def test_json_forms_hold_any_text(form: str, hostile: Checked) -> None:
    assert READERS[form](written(hostile, form))


def test_a_file_is_written_over_not_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        write(every_verdict(), "json", tmp_path / "check.json")
    assert json.loads((tmp_path / "check.json").read_text())["schema"] == 2


def test_an_unknown_form_names_the_nearest() -> None:
    with pytest.raises(KdbenchError, match=r"a check has no form 'markdwon'\. Did you mean 'markdown'"):
        written(every_verdict(), "markdwon")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("junit", "expected FORM=FILE, such as junit=check.xml, got 'junit'."),
        ("junit=", "expected FORM=FILE"),
        ("junitt=a.xml", "a check has no form 'junitt'. Did you mean 'junit'?"),
        ("json=.", "'.' is a folder; give a file in it."),
    ],
)
def test_a_wrong_output_is_explained(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        output(text)


def test_a_wrong_output_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    arguments = ["check", str(tmp_path), "--against", str(tmp_path), "--output", "junitt=a.xml"]
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 2
    assert ended.output.endswith("--output: a check has no form 'junitt'. Did you mean 'junit'?\n")


def test_the_verb_prints_one_form_writes_others_and_ends_with_the_checks_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.check.check", lambda *arguments, **named: every_verdict(), raising=False)
    files = [f"--output={form}={tmp_path / form}" for form in FORMS]
    ended = CliRunner().invoke(cli, ["check", str(tmp_path), "--against", str(tmp_path), "--format=junit", *files])
    assert ended.exit_code == 3
    assert ended.stdout == written(every_verdict(), "junit") + "\n"
    assert {path.name for path in tmp_path.iterdir()} == set(FORMS)


def test_a_verdict_is_printed_even_where_a_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.check.check", lambda *arguments, **named: every_verdict(), raising=False)
    (tmp_path / "file").write_text("")
    arguments = ["check", str(tmp_path), "--against", str(tmp_path), f"--output=json={tmp_path / 'file' / 'a.json'}"]
    ended = CliRunner().invoke(cli, arguments)
    assert isinstance(ended.exception, StoreError)
    assert "regression confirmed" in ended.stdout


def test_an_output_is_a_form_and_a_file() -> None:
    assert output("pytest-benchmark=a=b.json") == ("pytest-benchmark", Path("a=b.json"))


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write '.*check.json' \(.*\); give another file to --output"):
        write(every_verdict(), "json", tmp_path / "file" / "check.json")
