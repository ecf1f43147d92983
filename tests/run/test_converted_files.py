"""A run on a runtime that reads files of its own form: they are made, judged and timed as any other."""

import gzip
import shutil
from pathlib import Path

import onnx
import pytest

from kdbench.cli import exit_code
from kdbench.errors import StoreError
from kdbench.handover.chosen import choose_file
from kdbench.results.folder import Results, read_results
from kdbench.results.records import Failed, Latency, Score, Size

ECHO = Path(__file__).parents[1] / "measure" / "echo_runtime.py"
PACKED, REFUSED, PLAIN = "local-packed-1t-fp32", "local-refused-1t-fp32", "local-cpu-1t-fp32"
SUITE = """
kdbench: 1
name: packed
task: digits
recipes:
  train: {epochs: 1, learning_rate: 0.05}
student: {model: {cnn: {channels: [8, 16]}}, recipe: train}
cases:
  from-scratch: []
  int8: [static_quantization: {samples: 32}]
  int8-litert: [litert_quantization]
measure:
  - {provider: cpu, processes: 3, calls: 20, seconds: 0, memory: false, start: false}
  - {provider: packed, runtime: "echo.py:Packed", processes: 3, calls: 20, seconds: 0, memory: false, start: false}
  - {provider: packed, name: refused, runtime: "echo.py:Packed", batch_sizes: [13], processes: 3, calls: 20, seconds: 0}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("packed")
    shutil.copy(ECHO, folder / "echo.py")
    (folder / "s.yaml").write_text(SUITE)
    asked = ["run", str(folder / "s.yaml"), "--store", str(folder / "store"), "-o", str(folder / "out")]
    assert exit_code(asked) == 1  # for the conversion that is refused
    return read_results(folder / "out")


def test_the_converted_file_itself_is_judged_and_timed(results: Results) -> None:
    for case in ("from-scratch", "int8"):
        plain, packed = (
            next(one.value for one in results.of(Score, case) if one.target == target and one.split == "test")
            for target in (PLAIN, PACKED)
        )
        assert plain == packed  # the same bytes behind the packing
        assert [one.batch_size for one in results.of(Latency, case) if one.target == PACKED] == [1]


def test_its_size_is_that_of_what_is_shipped(results: Results) -> None:
    sizes = {one.target: one for one in results.of(Size, "from-scratch")}
    packed = sizes[PACKED]
    path = results.file(packed.onnx_path)
    assert path is not None
    assert path.name.endswith(".onnx.gz")
    assert onnx.load_from_string(gzip.decompress(path.read_bytes())).graph.node
    assert packed.file_bytes == packed.artefact_bytes == path.stat().st_size < sizes[PLAIN].file_bytes
    assert packed.parameter_count == sizes[PLAIN].parameter_count
    assert packed.notes[-1] == "Packed after a look at 1 examples."


def test_a_network_that_is_not_converted_is_a_row_with_the_reason_and_the_others_go_on(results: Results) -> None:
    failed = [one for one in results.of(Failed) if one.target == REFUSED and one.case == "from-scratch"]
    assert failed
    assert all("packed packs no batches of 13." in one.reason for one in failed)


def test_a_step_of_another_runtime_is_skipped_with_a_sentence(results: Results) -> None:
    reasons = {one.reason for one in results.of(Failed, "int8-litert")}
    assert "litert_quantization makes files for litert, which onnxruntime does not read." in reasons
    assert "litert_quantization makes files for litert, which packed does not read." in reasons


def test_get_hands_over_no_such_file_and_says_where_it_lies(results: Results) -> None:
    with pytest.raises(StoreError, match=r"is no ONNX file but onnx\.gz, which `get` does not hand over; it lies at"):
        choose_file(results, "from-scratch", target=PACKED)
