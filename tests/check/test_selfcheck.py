"""The gate against itself: copies in other bytes, what the rule makes of a spread, and how it is told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from kdbench.check import selfcheck as room
from kdbench.check.resampled_noise import noise_told
from kdbench.check.selfcheck import SelfCheck, Trial, selfcheck
from kdbench.cli import cli
from kdbench.errors import MeasureError
from kdbench.render.verbs.selfcheck import selfcheck_json, selfcheck_text
from kdbench.timing.copies import with_doc_string
from kdbench.timing.duel import Duel, Effort, Pair
from kdbench.timing.random_inputs import write_random_inputs, write_small_network
from kdbench.timing.verdict_rule import DEFAULT

SESSION = {"provider": "cpu", "threads_intra": 1, "threads_inter": 1}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_network(tmp_path_factory.mktemp("net") / "small.onnx")


@pytest.mark.parametrize("text", ["copy", "a longer text, so that its length takes a second byte: " + 200 * "x"])
def test_a_copy_differs_in_its_doc_string_only(network: Path, text: str) -> None:
    original, copy = onnx.load(network), onnx.load_from_string(with_doc_string(network.read_bytes(), text))
    assert copy.doc_string == text
    copy.ClearField("doc_string")
    assert copy.SerializeToString() == original.SerializeToString()


def test_of_two_doc_strings_the_last_counts_and_the_answers_stay(network: Path, tmp_path: Path) -> None:
    twice = with_doc_string(with_doc_string(network.read_bytes(), "first"), "second")
    assert onnx.load_from_string(twice).doc_string == "second"
    images = np.load(write_random_inputs(network, tmp_path / "inputs.npz"))["images"]
    answers = [
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]
        for data in (network.read_bytes(), twice)
    ]
    assert np.array_equal(*answers)
    assert np.isfinite(answers[0]).all()


def firsts(sd: float, count: int = 30) -> list[list[float]]:
    return np.random.default_rng(3).normal(0, sd, (count, 3)).tolist()


def test_without_any_noise_the_rule_sees_what_lies_above_two_thirds_of_its_tolerance() -> None:
    """log(1.02) = 0.0198 is just above 2/3 log(1.03) = 0.0197."""
    told = noise_told([[0.0] * 3] * 4, 1.03, DEFAULT)
    assert (told.false_alarm_fraction, told.doubt_fraction, told.smallest_seen) == (0, 0, 0.02)
    assert told.sound_ratio == 1.03


def test_a_quiet_machine_is_sound_at_the_tolerance_that_was_asked_for() -> None:
    told = noise_told(firsts(0.003), 1.03, DEFAULT)
    assert told.sound_ratio == 1.03
    assert told.smallest_seen in (0.025, 0.03)
    assert told.process_sd == pytest.approx(0.003, rel=0.3)


def test_a_noisy_machine_needs_a_wider_tolerance_and_sees_less() -> None:
    quiet, noisy = noise_told(firsts(0.003), 1.03, DEFAULT), noise_told(firsts(0.03), 1.03, DEFAULT)
    assert noisy.doubt_fraction > 0.05
    assert noisy.sound_ratio is not None
    assert noisy.sound_ratio > 1.03
    assert noisy.smallest_seen is None or noisy.smallest_seen > (quiet.smallest_seen or 0)


def test_where_copies_differ_twofold_no_tolerance_is_sound() -> None:
    assert noise_told(firsts(0.7), 1.03, DEFAULT).sound_ratio is None


def test_a_lasting_disturbance_is_kept_together() -> None:
    """Ten neighbouring processes that are all 5 % off alarm now and then; scattered among the rest they hardly do."""
    together = np.zeros(90)
    together[40:50] = 0.05
    apart = np.zeros(90)
    apart[::9] = 0.05
    told = [noise_told(logs.reshape(30, 3).tolist(), 1.03, DEFAULT) for logs in (together, apart)]
    assert told[0].false_alarm_fraction > told[1].false_alarm_fraction == 0


def duels(monkeypatch: pytest.MonkeyPatch, *found: dict[str, Any]) -> None:
    """Let the room's duels end so, one after the other."""
    waiting = list(found)

    def duel(pairs: list[Pair], *_: Any, **__: Any) -> list[Duel]:
        (pair,) = pairs
        assert pair.new.read_bytes() != pair.reference.read_bytes()
        return [Duel(pair=pair, **waiting.pop(0))]

    monkeypatch.setattr(room, "duel", duel)


TIMED = {"samples_ns": ((1000, 1000),) * 3, "reference_samples_ns": ((900, 1100, 1000),) * 3}
EQUAL = {"verdict": "ok", "first": (0.001, -0.001, 0.0), **TIMED}
ALARM = {"verdict": "slower", "first": (0.03, 0.03, 0.03), "second": (0.03,) * 7, **TIMED}
DOUBT = {"verdict": "cannot tell", "first": (0.02, 0.0, -0.02), "second": (0.1, 0, 0, 0, 0, -0.1, -0.1), **TIMED}


def checked(network: Path, monkeypatch: pytest.MonkeyPatch, *found: dict[str, Any]) -> SelfCheck:
    duels(monkeypatch, *found)
    return selfcheck(network, "small", Path("none.npz"), SESSION, pairs=len(found))


def test_alarms_doubts_and_second_stages_are_counted(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checked(network, monkeypatch, EQUAL, ALARM, DOUBT, EQUAL, EQUAL)
    assert (found.alarms, found.doubts, found.confirmations) == (1, 1, 2)
    assert found.latency_ns == 1000
    assert not found.is_sound
    assert "1 of 5 called the file slower than its own copy" in selfcheck_text(found)


def test_few_equal_pairs_say_how_little_they_show(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 of 40: below 1 - 0.05^(1/40) = 7.2 %."""
    found = checked(network, monkeypatch, *[EQUAL] * 40)
    assert found.is_sound
    text = selfcheck_text(found)
    assert "0 of 40: below 7.2 %" in text
    assert "As far as 40 pairs tell, a tolerance of 1.03 is sound here for this model." in text
    assert "--pairs 598" in text


def test_json_holds_every_ratio(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(selfcheck_json(checked(network, monkeypatch, EQUAL, DOUBT)))
    assert [trial["first"] for trial in found["trials"]] == [[0.001, -0.001, 0.0], [0.02, 0.0, -0.02]]
    assert found["undecided_count"] == 1
    assert found["expected"]["draw_count"] == 2 * 6 * 6


def test_a_model_that_cannot_be_timed_is_no_result(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duels(monkeypatch, {"verdict": None, "error": "it broke."})
    with pytest.raises(MeasureError, match="the model cannot be timed: it broke"):
        selfcheck(network, "small", Path("none.npz"), SESSION, pairs=1)


def test_a_file_is_really_timed_against_its_copy(network: Path, tmp_path: Path) -> None:
    inputs = write_random_inputs(network, tmp_path / "inputs.npz")
    found = selfcheck(network, "small", inputs, SESSION, pairs=1, effort=Effort(calls=40, seconds=0))
    (trial,) = found.trials
    assert len(trial.first) == DEFAULT.first
    assert len(trial.second) in (0, DEFAULT.fresh)
    assert len(set(trial.first)) == DEFAULT.first
    assert 1e3 < found.latency_ns < 1e9


def model(path: Path, *inputs: onnx.ValueInfoProto) -> Path:
    given = [value.name for value in inputs]
    node = helper.make_node("Identity", given[:1], ["y"])
    output = helper.make_tensor_value_info("y", inputs[0].type.tensor_type.elem_type, None)
    onnx.save(helper.make_model(helper.make_graph([node], "g", list(inputs), [output])), path)
    return path


def test_random_inputs_have_the_shapes_and_types_of_the_file(tmp_path: Path) -> None:
    path = model(
        tmp_path / "two.onnx",
        helper.make_tensor_value_info("a", TensorProto.FLOAT16, ["n", 2, 3]),
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", 5]),
    )
    made = np.load(write_random_inputs(path, tmp_path / "inputs.npz", batch_size=4))
    assert (made["a"].shape, made["a"].dtype) == ((32, 2, 3), np.float16)
    assert (made["tokens"].shape, made["tokens"].dtype) == ((32, 5), np.int64)
    assert set(np.unique(made["tokens"])) == {0, 1}


def test_an_input_of_free_size_asks_for_stored_examples(tmp_path: Path) -> None:
    path = model(tmp_path / "free.onnx", helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", "width"]))
    with pytest.raises(MeasureError, match=r"the input 'a' has an axis without a fixed length.*--case"):
        write_random_inputs(path, tmp_path / "inputs.npz")


@pytest.mark.parametrize("content", [b"no model", b""])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(MeasureError, match="is no ONNX file"):
        write_random_inputs(path, tmp_path / "inputs.npz")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["selfcheck", *arguments])


def test_a_results_folder_needs_a_case_and_only_it_has_cases(tmp_path: Path) -> None:
    found = run(str(tmp_path))
    assert (found.exit_code, "--case" in found.stderr) == (2, True)
    found = run("--case", "soft")
    assert (found.exit_code, "results folder" in found.stderr) == (2, True)


def test_a_target_has_its_session_already() -> None:
    found = run("--target", "local-cpu-1t-fp32", "--threads", "2")
    assert (found.exit_code, "leave --provider and --threads out" in found.stderr) == (2, True)


@pytest.mark.parametrize(("sound", "code"), [(1.03, 0), (1.1, 4), (None, 4)])
def test_the_exit_code_says_whether_the_tolerance_is_sound(
    monkeypatch: pytest.MonkeyPatch, sound: float | None, code: int
) -> None:
    from dataclasses import replace

    expected = replace(noise_told([[0.0] * 3] * 2, 1.03, DEFAULT), sound_ratio=sound)
    trial = Trial("ok", (0.0, 0.0, 0.0), (), 4_000_000_000, ())
    given = {"model": "m", "session": SESSION, "batch_size": 1, "max_ratio": 1.03, "created_utc": "2026-11-21T19:00:00"}
    found = SelfCheck(**given, latency_ns=1e6, trials=(trial,) * 5, expected=expected)
    monkeypatch.setattr(room, "selfcheck", lambda *_, **__: found)
    said = run()
    assert said.exit_code == code
    last = {1.03: "1.03 is sound here", 1.1: "max_ratio: 1.1 is", None: "No tolerance up to 2 is sound"}[sound]
    assert last in said.stdout
