"""What a process learns of its machine."""

import os
import sys
import time
from pathlib import Path

import pytest

from kdbench.measure import host

RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.31.1", "build_info": "Release", "providers_available": []}


def test_the_fingerprint_is_the_same_for_the_same_facts_in_any_order() -> None:
    assert host.fingerprint({"cpu": "x", "os": "y"}) == host.fingerprint({"os": "y", "cpu": "x"})
    assert len(host.fingerprint({})) == 16


def test_another_runtime_version_or_precision_flag_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    here = host.fingerprint(host.facts(RUNTIME))
    assert host.fingerprint(host.facts({**RUNTIME, "runtime_version": "1.30.0"})) != here
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert host.fingerprint(host.facts(RUNTIME)) != here


def test_what_may_differ_is_not_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.fingerprint(host.facts(RUNTIME))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert host.also()["omp_variables"]["OMP_NUM_THREADS"] == "7"
    assert host.fingerprint(host.facts(RUNTIME)) == before


def test_nvidia_gpus_are_named_with_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 570.86.15'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert host.facts(RUNTIME)["gpus"] == ["NVIDIA H100 80GB HBM3, 570.86.15"]


def test_the_host_is_never_named_in_clear() -> None:
    import platform

    assert platform.node() not in str(host.also())


def test_a_busy_thread_of_our_own_is_not_taken_for_others() -> None:
    gauge, begin, own = host.Gauge(), time.perf_counter(), time.process_time()
    while time.process_time() < own + 0.3:  # of our own time, however long others make that last
        pass
    found, wall_s = gauge.read(), time.perf_counter() - begin
    busy = found.get("other_cpu_fraction", 0.0) + found["own_cpu_fraction"] / (os.cpu_count() or 1)
    assert found["own_cpu_fraction"] == pytest.approx(0.3 / wall_s, rel=0.1)
    assert busy < 1.1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_peak_can_begin_anew_after_something_large_is_gone() -> None:
    large = bytearray(64 * 2**20)
    with_large = host.peak_rss_bytes()
    del large
    host.reset_peak_rss()
    assert host.peak_rss_bytes() < with_large - 32 * 2**20
