"""The doctor's text: within the terminal, warnings first, commands whole, a remedy told once."""

from dataclasses import replace

import pytest
from rich.console import Console

from kdbench.doctor.findings import Asked, Counter, Diagnosis, Interpreter, Machine, Torch, Trial, Trouble
from kdbench.render.verbs.doctor import as_text

COMMAND = "/a/rather/long/path/to/an/environment/bin/python -m pip uninstall -y onnxruntime onnxruntime-openvino"
OVERWRITTEN = Trouble(f"two distributions lie in {'very/' * 30}deep, which overwrite each other. Keep one", (COMMAND,))
MACHINE = Machine(
    cpu="AMD EPYC",
    architecture="x86_64",
    system="Linux 6.1",
    physical_core_count=2,
    logical_core_count=4,
    usable_core_count=3,
    quota_cores=None,
    ram_bytes=2**34,
    cpu_flags=("avx2", "avx512_vnni"),
    int8_flags=("avx512_vnni",),
    governor="performance",
    gpus=("NVIDIA H100, 580.1",),
    load_average=1.25,
    other_cores=1.31,
    steal_fraction=0.02,
    energy=(Counter("NVML", "present"), Counter("RAPL", "absent", "only root may read it.")),
    peak_memory=None,
    resets_peak_memory=True,
    troubles=(Trouble("other work uses 1.3 of 4 cores."),),
)
WORKS = Trial("cpu", True, {"CPUExecutionProvider": 5}, "fp32")
FAILS = Trial("cuda", False, reason="libcublas.so.13: cannot open it", remedy=Trouble("mend it", ("x",)))
OWN = Interpreter("/own/python", True, None, None, "3.11.7", "2.4.6", "1.31.1", ("onnxruntime 1.31.1",), True)
FOUND = Diagnosis(
    machine=MACHINE,
    torch=Torch("2.15.0", {"cpu": ["cpu"], "cuda": ["H100"]}),
    interpreters=(replace(OWN, trials=(FAILS, WORKS), troubles=(OVERWRITTEN,)),),
    missing=(Trouble("records as Parquet: install pyarrow", ("pip install 'kdbench[parquet]'",)),),
    suite="quickstart",
    asked=(
        Asked("local-cpu-1t-fp32", None, True, {"CPUExecutionProvider": 5}, "fp32", lacks=("energy cannot be read",)),
        Asked("local-cuda-1t-fp32", None, False, reason="the one above", remedy=OVERWRITTEN),
    ),
)


def text(found: Diagnosis = FOUND, width: int = 80) -> str:
    return as_text(found, Console(width=width))


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_but_a_command_or_a_path_is_wider_than_the_terminal(width: int) -> None:
    wide = [line.strip() for line in text(width=width).splitlines() if len(line) > width]
    assert all(line == COMMAND or line.startswith("very/") for line in wide)


def test_a_narrow_terminal_leaves_commands_whole() -> None:
    assert COMMAND in [line.strip() for line in text(width=40).splitlines()]


def test_warnings_come_first_then_the_suite_then_the_machine() -> None:
    said = text()
    assert said.startswith("! Other work uses 1.3 of 4 cores.\n\n! Two distributions lie in")
    places = [said.index(part) for part in ("Keep one:", "Suite quickstart", "This machine", "This interpreter")]
    assert places == sorted(places)


def test_a_remedy_is_told_once() -> None:
    assert text().count(COMMAND) == 1
    assert COMMAND in text(replace(FOUND, interpreters=(OWN,)))


def test_a_row_says_the_state_and_the_proof_or_the_reason() -> None:
    lines = text().splitlines()
    assert "  cuda  no      libcublas.so.13: cannot open it" in lines
    assert "  cpu   works   CPUExecutionProvider ran 5 of 5 kernels, fp32" in lines
    assert "  local-cpu-1t-fp32   partly  CPUExecutionProvider ran 5 of 5 kernels, fp32" in lines
    assert "Suite quickstart: 1 of 2 targets can be measured here" in lines


def test_the_machine_is_told_in_words_and_units() -> None:
    said = text(width=120)
    assert "AMD EPYC, 2 physical cores (4 logical), 3 for this process, x86_64, Linux 6.1, 16.0 GiB" in said
    assert "1.3 of 4 cores now, load 1.2, steal 2%" in said
    assert "NVML present\n" in said
    assert "RAPL absent: only root may read it\n" in said
    assert "2.15.0 on cpu, cuda (H100); torch.compile has its compiler" in said


def test_without_a_suite_and_trouble_it_begins_with_the_machine() -> None:
    quiet = replace(FOUND, machine=replace(MACHINE, troubles=()), interpreters=(OWN,), suite=None, asked=())
    assert text(quiet).startswith("This machine\n")
    assert quiet.can_all


def test_what_a_target_lacks_or_cannot_is_no_success() -> None:
    cpu, _ = FOUND.asked
    assert not FOUND.can_all
    assert not replace(FOUND, asked=(cpu,)).can_all
    assert replace(FOUND, asked=(replace(cpu, lacks=()),)).can_all
    assert not replace(FOUND, asked=(), interpreters=(replace(OWN, reason="it is none"),)).can_all
