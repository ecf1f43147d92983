"""What TensorRT's version makes of a session: versions made up, as none is installed."""

from pathlib import Path

import pytest

from kdbench.measure.runtimes import tensorrt
from kdbench.measure.session_spec import SessionSpec

TEN, ELEVEN = (10, 14, 1), (11, 4, 0)


@pytest.mark.parametrize(
    ("number", "version"), [(8601, (8, 6, 1)), (100_300, (10, 3, 0)), (101_401, TEN), (110_400, ELEVEN)]
)
def test_the_librarys_number_is_read_as_nvidia_packs_it(number: int, version: tensorrt.Version) -> None:
    assert tensorrt.version_of(number) == version


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_a_flag_that_it_no_longer_knows_is_refused_and_never_becomes_float32_under_another_name(precision: str) -> None:
    options = SessionSpec(provider="tensorrt", precision=precision).provider_options()
    assert tensorrt.refusal(TEN, options) is None
    said = tensorrt.refusal(ELEVEN, options)
    assert said is not None
    assert said.startswith(f"TensorRT 11.4.0 knows no trt_{precision}_enable: it computes in the types of the file.")


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_what_needs_no_flag_runs_on_both(precision: str) -> None:
    options = SessionSpec(provider="tensorrt", precision=precision).provider_options()
    assert tensorrt.refusal(TEN, options) is tensorrt.refusal(ELEVEN, options) is None
    assert tensorrt.refusal(ELEVEN, {**options, "trt_fp16_enable": "0"}) is None


def test_the_row_says_which_rule_decided() -> None:
    assert tensorrt.note(TEN) == "TensorRT 10.14.1; precision by builder flags"
    assert tensorrt.note(ELEVEN) == "TensorRT 11.4.0; precision by the types of the file"
    assert "does not tell its version" in tensorrt.note(None)


def test_a_process_without_it_has_no_version(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libcudart.so.13\n")
    assert tensorrt.loaded_version(maps) is None
    maps.write_text(f"7f00-7f01 r-xp 00000000 08:01 1                 {tmp_path}/libnvinfer.so.10\n")
    assert tensorrt.loaded_version(maps) is None  # listed, and not to be opened
    assert tensorrt.loaded_version(tmp_path / "none") is None
