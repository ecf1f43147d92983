"""A task of a vector, ids of unequal length and their mask, with outputs of classes and values: from decode to get."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import signals
import torch
from torch import nn

import kdbench
from kdbench.check import check
from kdbench.check.upgrade import check_upgrade
from kdbench.errors import ExportError
from kdbench.evidence import Results, read_results
from kdbench.handover.get import get
from kdbench.measure.inputs import inputs_of, load_inputs
from kdbench.protocols import SymbolicAxis
from kdbench.results.records import Latency, Score, Size
from kdbench.stages import _parity
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.examples import examples, lengths_to_measure
from kdbench.timing.duel import Effort
from kdbench.timing.verdict_rule import Rule

SUITE = f"""
kdbench: 1
name: signals
task: {{"{signals.__file__}:Signals": {{}}}}
recipes:
  train: {{epochs: 6, batch_size: 16, learning_rate: 0.05}}
student: {{model: {{"{signals.__file__}:Net": {{}}}}}}
cases:
  from-scratch: []
  int8: [static_quantization]
measure:
  - {{provider: cpu, processes: 3, calls: 8, seconds: 0, memory: false, start: false, lengths: [5, 12]}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Results:
    folder = tmp_path_factory.mktemp("signals")
    (folder / "s.yaml").write_text(SUITE)
    command = ["run", str(folder / "s.yaml"), "-o", str(folder / "out"), "--store", str(shared_store)]
    done = subprocess.run([sys.executable, "-m", "kdbench", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_results(folder / "out")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ArrayData:
    folder = tmp_path_factory.mktemp("decoded")
    return ArrayData.open(folder, signals.Signals().decode(folder))


def test_the_file_takes_any_length_and_names_what_it_gives(results: Results) -> None:
    size = next(record for record in results.of(Size) if record.case == "from-scratch")
    graph = onnx.load(results.folder / size.onnx_path).graph
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input}
    assert shapes == {"vector": ["batch", 4], "ids": ["batch", "length"], "mask": ["batch", "length"]}
    assert graph.input[1].type.tensor_type.elem_type == onnx.TensorProto.INT64
    assert [value.name for value in graph.output] == ["which", "much"]
    assert size.padding_difference is not None
    assert size.padding_difference < 1e-5
    assert size.notes == ()
    # at the median length 7: 7 words through 16 x 16, then 20 numbers to 2 and 2
    assert size.mac_count == 7 * 16 * 16 + 2 * 20 * 2


def test_both_outputs_are_judged_and_int8_decides_nearly_alike(results: Results) -> None:
    scores = [record for record in results.of(Score) if record.split == "test"]
    assert {(record.output, record.metric) for record in scores} == {("", "accuracy"), ("much", "rmse")}
    plain = [record for record in scores if record.case == "from-scratch"]
    assert all(record.max_abs_logit_difference < 1e-4 for record in plain)
    right = next(record.value for record in plain if not record.output)
    assert right > 0.7
    int8 = next(record for record in scores if record.case == "int8" and not record.output)
    assert int8.origin_agreement_fraction > 0.9


def test_latency_is_told_apart_by_length(results: Results) -> None:
    timed = [record for record in results.of(Latency) if record.case == "from-scratch"]
    assert [record.lengths for record in timed] == [{"length": 5}, {"length": 12}]
    assert [record.input_shapes for record in timed] == [((1, 4), (1, size), (1, size)) for size in (5, 12)]
    assert [str(record.call_size) for record in timed] == ["1, length 5", "1, length 12"]
    assert all(record.answers_agreement_fraction == 1 for record in timed)
    frame = kdbench.load(results.folder)
    rows = frame[frame["case"] == "from-scratch"]
    assert rows["length_size"].tolist() == [5, 12]


def test_what_is_handed_over_gives_the_recorded_scores_with_numpy_and_onnxruntime_alone(
    results: Results, tmp_path: Path
) -> None:
    out = get(results.folder, "from-scratch", tmp_path / "out").folder
    hidden = "import runpy, sys; sys.modules.update(dict.fromkeys(['kdbench', 'torch', 'onnx', 'sklearn']));"
    program = [sys.executable, "-I", "-c", f"{hidden} sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="]
    program[-1] += "'__main__')"

    def printed(*arguments: str) -> list[str]:
        command = [*program, str(out / "predict.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    first, then, second, recorded = printed()
    assert first.replace("accuracy", "recorded") == then.removesuffix(" on local-cpu-1t-fp32")
    assert second.replace("rmse of much", "recorded") == recorded.removesuffix(" on local-cpu-1t-fp32")
    with np.load(out / "inputs.npz") as arrays:
        np.savez(tmp_path / "new.npz", **{name: arrays[name] for name in ("vector", "ids", "ids_offsets")})
    lines = printed(str(tmp_path / "new.npz"))
    assert len(lines) == signals.COUNTS["test"]
    _, which, chance, much = lines[0].split("\t")
    assert which in ("low", "high")
    assert 0.5 <= float(chance) <= 1
    assert much.startswith("sum ")
    assert much.endswith(" MW")


def test_a_batch_is_padded_to_its_own_longest_and_one_to_time_is_cut_or_repeated(
    data: ArrayData, tmp_path: Path
) -> None:
    np.savez(tmp_path / "some.npz", **examples(data, "test", np.arange(10)).entries())
    some = load_inputs(str(tmp_path / "some.npz"))
    lengths = some.lengths()["length"]
    rows, feed = next(some.in_order(4))
    assert sorted(lengths)[:4] == lengths[rows].tolist() == feed["mask"].sum(1).tolist()
    assert feed["ids"].shape == feed["mask"].shape == (4, lengths[rows].max())
    (timed,) = some.feeds(2, 1, {"length": 30})
    own = some.padded(np.arange(1))["ids"][0]
    assert timed["ids"][0].tolist() == np.resize(own, 30).tolist()
    assert timed["mask"].all()
    assert timed["ids"].dtype == np.int64


def test_lengths_to_time_at_are_median_and_longest_unless_a_suite_says_them(data: ArrayData) -> None:
    assert lengths_to_measure(data.description, None) == [{"length": 7}, {"length": 12}]
    assert lengths_to_measure(data.description, [16, 500, 64]) == [{"length": 16}, {"length": 64}]


def test_frames_and_samples_of_one_sound_are_timed_at_the_same_duration(data: ArrayData) -> None:
    frames = SymbolicAxis(name="frames", unit="seconds of sound", amount=80 / 8000)
    samples = SymbolicAxis(name="samples", unit="seconds of sound", amount=1 / 8000)
    both = data.description.model_copy(update={"axes": (frames, samples)})
    assert lengths_to_measure(both, [50]) == [{"frames": 50, "samples": 4000}]
    texts = [axis.model_copy(update={"unit": ""}) for axis in both.axes]
    assert lengths_to_measure(both.model_copy(update={"axes": texts}), [50]) == [{"frames": 50, "samples": 50}]


class FakeSession:
    """Answers as a network does, in place of its file."""

    path = "net.onnx"

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def run_checked(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            return [t.numpy() for t in self.network(*(torch.from_numpy(feed[n]) for n in ("vector", "ids", "mask")))]


class Unmasked(signals.Network):
    """Takes padding for words."""

    def forward(self, vector: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return super().forward(vector, ids, torch.ones_like(mask))


class Frozen(signals.Network):
    """Forgets what lies behind the tenth word."""

    def forward(self, vector: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return super().forward(vector, ids[:, :10], mask[:, :10])


def test_a_network_that_padding_reaches_is_found_and_one_that_masks_it_is_not(data: ArrayData) -> None:
    torch.manual_seed(0)
    assert _parity.padding_difference(FakeSession(signals.Network(16)), data) < 1e-6
    assert _parity.padding_difference(FakeSession(Unmasked(16)), data) > 0.01


def test_a_file_that_is_wrong_at_one_length_is_refused_with_that_length(data: ArrayData) -> None:
    torch.manual_seed(0)
    network = signals.Network(16).eval()
    wrong = Frozen(16)
    wrong.load_state_dict(network.state_dict())
    session, batches = FakeSession(wrong), list(_parity.sized_batches(data))
    assert [(len(some[1]), some[1].shape[1]) for _, some in batches] == [(1, 1), (5, 7), (1, 12), (5, 1), (5, 12)]
    for where, some in batches[:2]:
        assert _parity.compare(network, session, data.description, some, where) < 1e-6
    where, some = batches[2]
    with pytest.raises(ExportError, match=r"^at batch 1 and length 12 the file's which differ from torch's by 0"):
        _parity.compare(network, session, data.description, some, where)


def test_an_npz_whose_offsets_do_not_fit_is_refused(data: ArrayData) -> None:
    entries = examples(data, "test", np.arange(3)).entries()
    assert inputs_of(entries).example_count == 3
    with pytest.raises(ValueError, match="the offsets of ids do not fit it"):
        inputs_of({**entries, "ids": entries["ids"][:-1]})


def test_a_check_asks_at_the_lengths_of_the_suite(results: Results) -> None:
    """Both files are the same here, so that nothing is timed; each length has its row."""
    rows = [row for row in check(results.folder, results.folder).rows if row.metric == "latency"]
    assert {(row.case, row.lengths["length"]) for row in rows} == {
        (case, length) for case in ("from-scratch", "int8") for length in (5, 12)
    }


def test_a_runtime_that_answers_a_later_output_otherwise_is_worse(results: Results, tmp_path: Path) -> None:
    """The interpreter after it is given vectors of the other sign; its numbers are off, in their own unit."""
    sample = next((results.folder / "inputs").glob("sample-*.npz"))
    with np.load(sample) as read:
        arrays = dict(read)
    np.savez(tmp_path / "turned.npz", **{**arrays, "vector": -arrays["vector"]})
    after = tmp_path / "after"
    after.write_text(f"""#!/bin/sh
[ -f "$3" ] && sed -i 's|[^"]*{sample.name}|{tmp_path}/turned.npz|' "$3"
exec {sys.executable} "$@"
""")
    after.chmod(0o755)
    effort, rule = Effort(calls=20, seconds=0.0), Rule(first=1, fresh=3)
    found = check_upgrade(
        results.folder, (sys.executable, str(after)), cases=["from-scratch"], rule=rule, effort=effort
    )
    first, second = (row for row in found.rows if row.kind == "score")
    assert (first.metric, first.label, second.metric, second.label) == ("accuracy", "accuracy", "rmse", "much: RMSE")
    assert second.verdict == "worse"
    assert second.said.startswith("On the kept sample: outputs lie up to ")
    assert " MW apart; RMSE " in second.said
