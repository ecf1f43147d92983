"""`kdbench bundle` and `kdbench merge` as they are typed."""

from pathlib import Path

from carried import rewritten
from click.testing import CliRunner

from kdbench.cli.devices import bundle_command, merge_command


def test_bundle_says_what_it_made_and_how_it_is_run(kept_results: Path, tmp_path: Path) -> None:
    out = tmp_path / "two.pyz"
    done = CliRunner().invoke(bundle_command, [str(kept_results), "--case", "soft", "--seed", "0", "-o", str(out)])
    assert done.exit_code == 0, done.output
    first, _, last = done.output.splitlines()
    assert first.startswith(f"3 models of 4 rows, 30 examples: {out} (")
    assert last == "On the device: python two.pyz --out record.jsonl"


def test_merge_says_what_is_new_and_where_the_report_is(results: Path, record: Path) -> None:
    command = [str(results), str(record), "--device", "pi"]
    done = CliRunner().invoke(merge_command, command)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "pi-cpu-1t-fp32: 5 rows."
    assert done.output.splitlines()[-1] == f"Report: {results / 'report' / 'index.html'}"
    again = CliRunner().invoke(merge_command, command)
    assert again.output == "pi-cpu-1t-fp32: this record was merged already; nothing is changed.\n"


def test_merge_says_what_failed_there(results: Path, record: Path, tmp_path: Path) -> None:
    def fail(lines: list[dict[str, object]]) -> None:
        prove = next(line for line in lines if str(line.get("step")).startswith("prove/"))
        del prove["answer"]
        prove["error"] = "the measuring process was killed by SIGKILL: it said nothing."

    done = CliRunner().invoke(merge_command, [str(results), str(rewritten(record, tmp_path / "r.jsonl", fail))])
    assert done.output.splitlines()[0] == "board-cpu-1t-fp32: 5 rows, 5 of them failed there in part."
