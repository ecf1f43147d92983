"""The fixture in a user's own test-suite: what a test gets, and what pytest-benchmark shows, saves and compares."""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from saved_nets import save_net

from kdbench.timing import Latency, Ratio

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def as_if_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's tests run by themselves here, whoever runs these in parallel: pytest-benchmark measures nothing then."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


INSTALLED = any(entry.value == "kdbench.pytest_plugin" for entry in importlib.metadata.entry_points(group="pytest11"))
LOAD = () if INSTALLED else ("-p", "kdbench.pytest_plugin")
NO_REWRITING = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
TIMED = Latency(
    model="net.onnx",
    provider_asked="CPUExecutionProvider",
    providers_got=("CPUExecutionProvider",),
    kernel_ns_by_provider={"CPUExecutionProvider": 900},
    runtime="onnxruntime 1",
    target="cpu-1t-fp32",
    effective_precision="fp32",
    batch_size=1,
    samples_ns=((1_000, 2_000, 3_000), (2_000, 3_000, 4_000)),
    warnings=("contended",),
)
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test file of a user; what is timed comes from here."""

    def timed(model: str, scratch: Path, batch_size: int = 1, against: str | None = None) -> Latency:
        ratio = Ratio(value=1.5, low=1.4, high=1.6, verdict="slower", max_ratio=1.03)
        return replace(TIMED, model=model, batch_size=batch_size, ratio=ratio if against else None)

    monkeypatch.setattr("kdbench.timing.time_onnx", timed)
    monkeypatch.setattr("pytest_benchmark.plugin.get_cpu_info", dict)  # which takes seconds

    def run_file(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_mine=code)
        return pytester.runpytest(*LOAD, "-p", "no:cacheprovider", *arguments, *NO_REWRITING)

    return run_file


def saved(pytester: pytest.Pytester) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return found


def test_a_real_file_is_timed_saved_and_listed(pytester: pytest.Pytester) -> None:
    save_net(pytester.path / "net.onnx")
    code = """
        def test_speed(onnx_latency):
            found = onnx_latency("net.onnx", processes=2, calls=40, seconds=0)
            assert [len(process) for process in found.samples_ns] == [40, 40]
            assert found.providers_got == ("CPUExecutionProvider",)
            assert found.p90_ns > found.p50_ns > 0 and found.p99_ns is None
    """
    pytester.makepyfile(test_mine=code)
    result = pytester.runpytest_subprocess(*LOAD, "-p", "no:cacheprovider", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*benchmark 'cpu-1t-fp32/batch 1': 1 tests*"])
    command = [sys.executable, "-W", "ignore", "-m", "pytest_benchmark", "compare", "out.json"]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=True)
    assert [line.split()[-2] for line in done.stdout.splitlines() if line.startswith("test_speed")] == ["80"]


def test_pytest_benchmark_has_the_samples_themselves(run: Run, pytester: pytest.Pytester) -> None:
    code = """
        import pytest

        @pytest.mark.parametrize("batch_size", [1, 4])
        def test_speed(onnx_latency, batch_size):
            assert onnx_latency("net.onnx", batch_size=batch_size).p50_ns == 2500
    """
    result = run(code, "--benchmark-json=out.json")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*benchmark 'cpu-1t-fp32/batch 1': 1 tests*", "*'cpu-1t-fp32/batch 4': 1 tests*"])
    one, four = saved(pytester)
    assert one["stats"]["data"] == [1e-6, 2e-6, 3e-6, 2e-6, 3e-6, 4e-6]
    assert (four["name"], four["param"], four["group"]) == ("test_speed[4]", "4", "cpu-1t-fp32/batch 4")
    assert four["options"]["timer"] == "onnx_latency"
    assert four["extra_info"] == {
        **{"model": "net.onnx", "process_count": 2, "p50_ns": 2500.0, "providers_got": ["CPUExecutionProvider"]},
        **{"effective_precision": "fp32", "runtime": "onnxruntime 1", "warnings": ["contended"]},
    }


def test_a_saved_run_is_compared_with_in_the_next(run: Run) -> None:
    code = "def test_speed(onnx_latency):\n    onnx_latency('net.onnx')\n"
    run(code, "--benchmark-save=first").assert_outcomes(passed=1)
    again = run(code, "--benchmark-compare=0001", "--benchmark-columns=median,rounds")
    again.stdout.fnmatch_lines(["test_speed (0001_first)* (1.0) * 6", "test_speed (NOW)* (1.0) * 6"])


def test_against_another_file_the_ratio_is_in_extra_info(run: Run, pytester: pytest.Pytester) -> None:
    code = """
        def test_not_slower(onnx_latency):
            assert onnx_latency("net.onnx", against="old.onnx").ratio.value == 1.5
    """
    run(code, "--benchmark-json=out.json").assert_outcomes(passed=1)
    extra = saved(pytester)[0]["extra_info"]
    assert (extra["ratio_value"], extra["ratio_low"], extra["ratio_high"]) == (1.5, 1.4, 1.6)
    assert (extra["ratio_verdict"], extra["ratio_max_ratio"]) == ("slower", 1.03)


def test_files_timed_in_one_test_are_benchmarks_of_their_own(run: Run, pytester: pytest.Pytester) -> None:
    code = """
        def test_two(onnx_latency):
            for size in (1, 2):
                onnx_latency("net.onnx", batch_size=size)
    """
    run(code, "--benchmark-json=out.json", "-W", "error").assert_outcomes(passed=1)
    one, two = saved(pytester)
    assert [bench["name"] for bench in (one, two)] == ["test_two", "test_two (2)"]
    assert [bench["group"] for bench in (one, two)] == ["cpu-1t-fp32/batch 1", "cpu-1t-fp32/batch 2"]
    assert one["stats"]["data"] == two["stats"]["data"] == [1e-6, 2e-6, 3e-6, 2e-6, 3e-6, 4e-6]


def test_a_test_may_use_benchmark_beside_it_under_its_own_clock_and_mark(run: Run, pytester: pytest.Pytester) -> None:
    code = """
        import itertools, pytest

        @pytest.mark.benchmark(group="mine", timer=itertools.count().__next__)
        def test_both(benchmark, onnx_latency):
            onnx_latency("net.onnx")
            benchmark.pedantic(lambda: None, rounds=5)
    """
    run(code, "--benchmark-json=out.json", "-W", "error").assert_outcomes(passed=1)
    found = {bench["name"]: bench for bench in saved(pytester)}
    assert found["test_both"]["stats"]["data"] == [1] * 5, "the test's own clock ticks once a reading"
    assert found["test_both (1)"]["stats"]["rounds"] == 6
    assert {bench["group"] for bench in found.values()} == {"mine"}


def test_without_pytest_benchmark_it_times_all_the_same(run: Run) -> None:
    code = "def test_speed(onnx_latency):\n    assert onnx_latency('net.onnx').p50_ns == 2500\n"
    result = run(code, "-p", "no:benchmark")
    result.assert_outcomes(passed=1)
    assert "Mean" not in result.stdout.str()


def test_with_benchmarks_disabled_a_test_still_gets_its_times(run: Run, pytester: pytest.Pytester) -> None:
    code = "def test_speed(onnx_latency):\n    assert onnx_latency('net.onnx').p50_ns == 2500\n"
    run(code, "--benchmark-disable", "--benchmark-json=out.json").assert_outcomes(passed=1)
    assert not (pytester.path / "out.json").exists()


def test_skip_and_only_take_it_for_a_benchmark(run: Run) -> None:
    code = "def test_speed(onnx_latency):\n    onnx_latency('net.onnx')\n\ndef test_other():\n    pass\n"
    for option in ("--benchmark-skip", "--benchmark-only"):
        result = run(code, option, "-v")
        result.assert_outcomes(passed=1, skipped=1)
        skipped = "test_speed" if option == "--benchmark-skip" else "test_other"
        result.stdout.fnmatch_lines([f"*::{skipped} SKIPPED*"])


def test_other_tests_are_left_alone(run: Run, pytester: pytest.Pytester) -> None:
    code = "def test_other(benchmark):\n    benchmark.pedantic(lambda: None, rounds=3)\n"
    run(code, "--benchmark-json=out.json").assert_outcomes(passed=1)
    assert saved(pytester)[0]["options"]["timer"] == "perf_counter"


def test_a_file_that_cannot_be_timed_fails_the_test_with_its_sentence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_speed(onnx_latency):\n    onnx_latency('nowhere.onnx')\n")
    result = pytester.runpytest(*LOAD, "-p", "no:cacheprovider", "-p", "no:benchmark", *NO_REWRITING)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*MeasureError: there is no file nowhere.onnx; name an ONNX file."])


def test_the_fixture_explains_itself(run: Run) -> None:
    run("def test_none():\n    pass\n", "--fixtures").stdout.fnmatch_lines(
        ["onnx_latency*", "*Times an ONNX file in fresh processes*"]
    )


def test_a_replay_reads_out_samples_then_is_the_clock() -> None:
    from kdbench.pytest_plugin import Replay

    replay = Replay(lambda: 7.0)
    replay.load([2_000_000_000, 500_000_000])
    readings = [replay() for _ in range(5)]
    assert [readings[1] - readings[0], readings[3] - readings[2], readings[4]] == [2.0, 0.5, 7.0]


def test_the_plugin_loads_nothing_that_takes_time(tmp_path: Path) -> None:
    """Every start of pytest on a machine with kdbench imports it."""
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import kdbench.pytest_plugin\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "['kdbench']\n"


def test_a_test_that_fails_says_how_much_slower_the_file_is(run: Run) -> None:
    code = """
        def test_it_is_no_slower(onnx_latency):
            assert onnx_latency("new.onnx", against="old.onnx").ratio.verdict == "ok"
    """
    result = run(code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*1.500 times the reference's latency (1.400 to 1.600*1.03 must not go unseen."])
