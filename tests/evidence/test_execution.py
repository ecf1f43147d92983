"""What ran where, of the seeds of a case together."""

from dataclasses import replace

import pytest

from kdbench.evidence.execution import execution_view
from kdbench.results.records import Latency

CPU, OPENVINO, CUDA = "CPUExecutionProvider", "OpenVINOExecutionProvider", "CUDAExecutionProvider"
ONE = Latency(
    suite="s", case="soft", seed=0, key="k", target="local-openvino-1t-fp32", provider_asked=OPENVINO,
    providers_got=(OPENVINO, CPU), batch_size=1, samples_ns=((1, 1),), runtime="onnxruntime", runtime_version="1.24.1",
    precision="fp32", node_count_by_provider={CPU: 2, OPENVINO: 1}, kernel_ns_by_provider={OPENVINO: 900, CPU: 100},
    assigned_node_count_by_provider={OPENVINO: 18, CPU: 2}, effective_precision="fp32", int8_kernel_fraction=0.0,
    answers_agreement_fraction=1.0,
)  # fmt: skip


def test_the_asked_provider_stands_first_with_its_share_of_time_and_of_nodes() -> None:
    view = execution_view([ONE])
    assert list(view.kernel_counts) == list(view.kernel_time_shares) == [OPENVINO, CPU]
    assert view.asked_share == pytest.approx(0.9)
    assert view.node_share == pytest.approx(0.9)
    assert view.elsewhere == (CPU,)


def test_seeds_are_taken_together_and_the_worst_answers_count() -> None:
    other = replace(ONE, seed=1, kernel_ns_by_provider={OPENVINO: 1000}, node_count_by_provider={OPENVINO: 1},
                    int8_kernel_fraction=1.0, answers_agreement_fraction=0.98, effective_precision="int8")  # fmt: skip
    view = execution_view([ONE, other])
    assert view.kernel_time_shares == pytest.approx({OPENVINO: 0.95, CPU: 0.05})
    assert view.kernel_counts == {OPENVINO: 1.0, CPU: 1.0}
    assert view.int8_kernel_fraction == 0.5
    assert view.answers_agreement == 0.98
    assert view.effective_precisions == ("fp32", "int8")


def test_a_provider_that_did_nothing_of_what_was_asked_has_no_share() -> None:
    view = execution_view([replace(ONE, kernel_ns_by_provider={CPU: 10}, assigned_node_count_by_provider={CPU: 20})])
    assert view.asked_share == view.node_share == 0.0


def test_kernel_times_of_an_asynchronous_provider_are_no_shares() -> None:
    times = {CUDA: 10, CPU: 90}
    view = execution_view([replace(ONE, provider_asked=CUDA, kernel_ns_by_provider=times,
                                   assigned_node_count_by_provider={CUDA: 19, CPU: 1})])  # fmt: skip
    assert view.kernel_time_shares == {}
    assert view.asked_share == pytest.approx(0.95)


def test_records_that_say_nothing_of_it_are_known_to_say_nothing() -> None:
    bare = replace(ONE, node_count_by_provider={}, kernel_ns_by_provider={}, assigned_node_count_by_provider={},
                   effective_precision=None, int8_kernel_fraction=None, answers_agreement_fraction=None)  # fmt: skip
    view = execution_view([bare])
    assert not view.is_known
    assert (view.asked_share, view.node_share, view.int8_kernel_fraction, view.answers_agreement) == (None,) * 4
    assert view.elsewhere == ()
