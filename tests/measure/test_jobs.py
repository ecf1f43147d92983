"""Jobs that are wrong say in a sentence how."""

from typing import Any

import pytest

from kdbench.errors import KdbenchError
from kdbench.measure.jobs import make_job

FILE = {"digest": "ab", "path": "net.onnx"}
TIME = {"schema": 1, "action": "time", "files": [FILE], "inputs": "in.npz", "batch_sizes": [1, 32]}


def test_what_a_job_leaves_out_is_the_protocol_of_the_house() -> None:
    job = make_job(TIME)
    rule, session = job.rule, job.session
    assert (rule.warmup_min_calls, rule.warmup_min_ns) == (50, 200_000_000)
    assert (rule.round_call_count, rule.min_calls, rule.min_ns) == (50, 1000, 1_000_000_000)
    assert (session.provider, session.threads_intra, session.graph_optimization) == ("cpu", 1, "all")


def test_numbers_may_be_spelled_as_json_spells_large_ones() -> None:
    assert make_job({**TIME, "min_ns": 1e9, "warmup": {"min_ns": 2e8}}).rule.min_ns == 1_000_000_000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 2}, "this measuring program does jobs of schema 1, got 2."),
        ({"action": "tme"}, "there is no action 'tme'. Did you mean 'time'?"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0."),
        ({"batch_sizes": [1.5]}, "batch_sizes must be a whole number of at least 1, got 1.5."),
        ({"batch_sizes": []}, "action time needs 'batch_sizes'."),
        ({"batchsizes": [1]}, "a job has no field 'batchsizes'. Did you mean 'batch_sizes'?"),
        ({"threads_intra": "two"}, "threads_intra must be a number, got 'two'."),
        ({"threads_intra": 0}, "threads_intra must be a whole number of at least 1, got 0."),
        ({"warmup": {"calls": 5}}, "warmup has min_calls and min_ns, got 'calls'."),
        ({"graph_optimization": "most"}, "there is no graph_optimization 'most'."),
        ({"graphs": "yes"}, "graphs must be true or false, got 'yes'."),
        ({"plugin": 3}, "plugin must be a text, got 3."),
        ({"provider": "cuda", "search": "fast"}, "provider cuda searches exhaustive, heuristic, default, got 'fast'."),
        (
            {"engine_cache": "/e"},
            "provider cpu has no 'engine_cache', only tensorrt, openvino, coreml",
        ),
        ({"provider": "mlx"}, "there is no provider 'mlx'."),
        ({"files": [FILE, FILE]}, "the file ab is given twice."),
        ({"files": ["net.onnx"]}, 'an entry of files is {digest, path}, two texts, got "net.onnx".'),
        (
            {"action": "memory", "files": [FILE, {**FILE, "digest": "cd"}], "batch_size": 1},
            "action memory takes one file",
        ),
    ],
)
def test_a_wrong_job_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(KdbenchError) as caught:
        make_job({**TIME, **change})
    assert str(caught.value).startswith(sentence)
