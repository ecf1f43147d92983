"""The packed program as a process of its own: what it gives, what it refuses, what it never loads, when it ends."""

import ast
import builtins
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tiny_models import FileOf, conv_net, entry, gemm_net, infinite_net

from kdbench.errors import MeasureError
from kdbench.measure.client import run_job
from kdbench.measure.program import pack

Job = dict[str, Any]
OLDEST = shutil.which("python3.9")
if OLDEST is not None and subprocess.run([OLDEST, "-c", ""], capture_output=True).returncode:
    OLDEST = None  # a version manager's stand-in for one that is not chosen


def test_the_packed_program_is_the_same_bytes_each_time(tmp_path: Path, program: Path) -> None:
    assert pack(tmp_path / "again.pyz").read_bytes() == program.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.pyz"]


def test_the_packed_program_is_python_3_9(program: Path) -> None:
    with zipfile.ZipFile(program) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        assert {"__main__.py", "kdbench/__init__.py", "kdbench/errors.py", "kdbench/measure/clock.py"} <= set(names)
        for name in names:
            ast.parse(archive.read(name), name, feature_version=(3, 9))


def test_no_type_of_the_packed_program_is_written_as_only_newer_pythons_evaluate_it(program: Path) -> None:
    """`str | int` is Python 3.9's syntax, and a TypeError where 3.9 evaluates it: outside annotations."""
    with zipfile.ZipFile(program) as archive:
        sources = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
    found = []
    for name, text in sources.items():
        statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assign)]
        unions = [node for statement in statements for node in ast.walk(statement.value) if _is_union(node)]
        found += [f"{name}:{node.lineno}" for node in unions]
    assert found == []


def _is_union(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.BitOr):
        return False
    sides = (ast.unparse(side).partition("[")[0] for side in (node.left, node.right))
    return any(side == "None" or isinstance(getattr(builtins, side, None), type) for side in sides)


@pytest.mark.skipif(OLDEST is None, reason="there is no python3.9 here")
def test_the_oldest_python_imports_every_module_of_the_packed_program(program: Path) -> None:
    code = (
        "import importlib, sys, zipfile\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "names = [name[:-3].replace('/', '.') for name in zipfile.ZipFile(sys.argv[1]).namelist()]\n"
        "for name in names:\n"
        "    if name.startswith('kdbench') and not name.endswith('__main__'):\n"
        "        importlib.import_module(name.removesuffix('.__init__'))\n"
    )
    done = subprocess.run([str(OLDEST), "-c", code, str(program)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_timing_gives_raw_samples_of_both_files_and_loads_nothing_foreign(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    files = [file_of("conv", conv_net()), file_of("gemm", gemm_net())]
    result = run_job({**job, "action": "time", "files": files, "batch_sizes": [1, 4]}, tmp_path / "out", program)
    assert result["modules"] == []
    assert [found["digest"] for found in result["files"]] == [file["digest"] for file in files]
    for found in result["files"]:
        assert found["provider_asked"] == found["providers_got"][0] == "CPUExecutionProvider"
        for batch_size, timed in found["by_batch"].items():
            assert timed["input_shapes"] == [[int(batch_size), 3, 8, 8]]
            assert len(timed["samples_ns"]) == 20
            assert len(timed["thread_cpu_ns"]) == 4
            assert len(timed["warmup_ns"]) >= 3
            assert min(timed["samples_ns"]) > 0


def test_more_than_one_thread_records_no_thread_time(tmp_path: Path, program: Path, job: Job, file_of: FileOf) -> None:
    asked = {**job, "action": "time", "files": [file_of("net", gemm_net())], "batch_sizes": [1], "threads_intra": 2}
    result = run_job(asked, tmp_path / "out", program)
    assert result["files"][0]["by_batch"]["1"]["thread_cpu_ns"] is None


def test_a_broken_file_says_so_and_the_good_one_beside_it_is_timed(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model at all")
    files = [entry(broken), file_of("good", conv_net()), file_of("infinite", infinite_net())]
    result = run_job({**job, "action": "time", "files": files, "batch_sizes": [1]}, tmp_path / "out", program)
    bad, good, infinite = result["files"]
    assert bad["error"].startswith(f"onnxruntime cannot load {broken}: ")
    assert len(good["by_batch"]["1"]["samples_ns"]) == 20
    assert infinite["error"].endswith("infinite.onnx gives outputs that are not finite.")
    assert set(infinite) == {"digest", "error"}


def test_a_file_changed_since_its_digest_is_refused(tmp_path: Path, program: Path, job: Job, file_of: FileOf) -> None:
    file = file_of("net", gemm_net())
    Path(file["path"]).write_bytes(Path(file_of("other", conv_net())["path"]).read_bytes())
    with pytest.raises(MeasureError, match=r"net\.onnx is another file than asked for"):
        run_job({**job, "action": "predict", "files": [file], "batch_size": 4}, tmp_path / "out", program)
    assert json.loads((tmp_path / "out" / "error.json").read_text())["digest"] == file["digest"]


def test_predictions_are_those_of_a_session_of_our_own(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    file = file_of("net", conv_net())
    run_job({**job, "action": "predict", "files": [file], "batch_size": 8}, tmp_path / "out", program)
    found = np.load(tmp_path / "out" / f"{file['digest']}-0.npy")
    session = onnxruntime.InferenceSession(file["path"], providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": np.load(job["inputs"])["x"]})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_quantized_file_proves_its_int8_kernels_and_a_float_file_has_none(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    files = [file_of("float", conv_net(channels=16)), _quantized(tmp_path, job)]
    out = tmp_path / "out"
    before = set(Path.cwd().iterdir())
    result = run_job({**job, "action": "prove", "files": files, "batch_sizes": [1, 4]}, out, program)
    plain, quantized = (found["by_batch"]["4"] for found in result["files"])
    assert plain["int8_kernel_fraction"] == 0.0
    assert quantized["int8_kernel_fraction"] == 1.0
    assert quantized["op_counts_by_provider"]["CPUExecutionProvider"]["QLinearConv"] == 1
    assert set(plain["node_count_by_provider"]) == {"CPUExecutionProvider"}
    assert result["files"][0]["assigned_node_count_by_provider"] == {"CPUExecutionProvider": 5}
    assert set(Path.cwd().iterdir()) == before
    assert not list(out.glob("*profile*"))


def _quantized(folder: Path, job: Job) -> dict[str, str]:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter([{"x": np.load(job["inputs"])["x"]}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    source, target = folder / "source.onnx", folder / "quantized.onnx"
    onnx.save(conv_net(channels=16), source)
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
    quantize_static(source, target, Images(), quant_format=QuantFormat.QDQ, **types)
    return entry(target)


def test_memory_is_the_peak_over_what_the_imports_took(
    tmp_path: Path, program: Path, job: Job, file_of: FileOf
) -> None:
    asked = {**job, "action": "memory", "files": [file_of("net", conv_net(channels=64))], "batch_size": 512}
    found = run_job(asked, tmp_path / "out", program)
    activations = 512 * 64 * 8 * 8 * 4
    assert found["import_rss_bytes"] > 10 * 2**20
    assert found["peak_rss_bytes"] - found["import_rss_bytes"] > activations


def test_describe_names_this_machine_with_a_fingerprint(tmp_path: Path, program: Path) -> None:
    first, second = (run_job({"schema": 1, "action": "describe"}, tmp_path / name, program) for name in ("a", "b"))
    assert first["fingerprint"] == second["fingerprint"]
    assert first["facts"]["runtime_version"] == onnxruntime.__version__
    assert first["facts"]["logical_core_count"] == os.cpu_count()
    assert "CPUExecutionProvider" in first["providers_available"]
    assert first["modules"] == []


def test_a_provider_that_falls_back_fails_the_job(tmp_path: Path, program: Path, job: Job, file_of: FileOf) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    asked = {**job, "action": "time", "files": [file_of("net", gemm_net())], "batch_sizes": [1], "provider": "cuda"}
    sentence = r"^asked for CUDAExecutionProvider, onnxruntime chose CPUExecutionProvider\.$"
    with pytest.raises(MeasureError, match=sentence):
        run_job(asked, tmp_path / "out", program)


def test_bad_input_by_hand_is_code_2_and_one_sentence(tmp_path: Path, program: Path) -> None:
    request = tmp_path / "JOB.json"
    request.write_text('{"schema": 1, "action": "describe", "provider": "cud"}')
    ended = _by_hand(program, str(request), str(tmp_path / "out"))
    assert ended.returncode == 2
    assert ended.stderr == "there is no provider 'cud'. Did you mean 'cuda'?\n"
    assert json.loads((tmp_path / "out" / "error.json").read_text()) == {"error": ended.stderr.strip(), "digest": None}
    assert _by_hand(program, str(request)).stderr == "usage: python measure.pyz JOB.json OUT_FOLDER\n"
    request.write_text("{")
    assert "JOB.json is not JSON" in _by_hand(program, str(request), str(tmp_path / "out")).stderr
    assert "cannot write to" in _by_hand(program, str(request), str(request)).stderr


def _by_hand(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(program), *arguments], capture_output=True, text=True)


def test_an_interpreter_without_a_runtime_says_what_to_install(tmp_path: Path, program: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nshift\nexec '{sys.executable}' -S \"$@\"\n")
    python.chmod(0o755)
    with pytest.raises(
        MeasureError, match=r"^the interpreter .* has no numpy; run `.* -m pip install numpy onnxruntime`"
    ):
        run_job({"schema": 1, "action": "describe"}, tmp_path / "out", program, python=str(python))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path, program: Path) -> None:
    with pytest.raises(MeasureError, match=r"cannot start /nowhere/python \(No such file or directory\)"):
        run_job({"schema": 1, "action": "describe"}, tmp_path / "out", program, python="/nowhere/python")


@pytest.mark.parametrize(
    ("signal_name", "sentence"),
    [
        (
            "SEGV",
            r"^onnxruntime's process crashed with SIGSEGV \(.* /models/net\.onnx, provider cpu\): out of luck\.$",
        ),
        ("KILL", r"was killed by SIGKILL, perhaps for want of memory \(.*\): out of luck\.$"),
    ],
)
def test_a_process_that_dies_is_told_by_its_signal_its_runtime_and_its_file(
    signal_name: str, sentence: str, tmp_path: Path, program: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho 'out of luck' >&2\nkill -{signal_name} $$\n")
    python.chmod(0o755)
    asked = {"schema": 1, "action": "prove", "files": [{"digest": "0" * 64, "path": "/models/net.onnx"}]}
    with pytest.raises(MeasureError, match=sentence):
        run_job(asked, tmp_path / "out", program, python=str(python))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found in /proc")
def test_a_killed_parent_leaves_no_program_behind(tmp_path: Path, program: Path, job: Job, file_of: FileOf) -> None:
    endless = {**job, "action": "time", "files": [file_of("net", gemm_net())], "batch_sizes": [1], "min_calls": 10**9}
    code = """if True:
        import json, pathlib, sys
        from kdbench.measure.client import run_job
        run_job(json.loads(sys.argv[1]), *map(pathlib.Path, sys.argv[2:]))
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(endless), str(tmp_path / "out"), str(program)], env=environment
    )
    (child,) = _eventually(lambda: _children(parent.pid))
    time.sleep(1)  # well into its work
    assert _alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert _eventually(lambda: not _alive(child))


def _eventually(probe: Any) -> Any:
    end = time.monotonic() + 20
    while not (found := probe()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _children(pid: int) -> list[int]:
    stats = Path("/proc").glob("[0-9]*/stat")
    return [int(path.parent.name) for path in stats if _stat(path)[1:2] == [str(pid)]]


def _alive(pid: int) -> bool:
    return _stat(Path(f"/proc/{pid}/stat"))[:1] not in ([], ["Z"])


def _stat(path: Path) -> list[str]:
    """State, parent's id and what follows them; nothing for a process that is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
