"""Files in an opset that a target's runtime does not read are refused before anything runs."""

from kdbench.plan.opsets import too_old


def test_a_runtime_that_is_too_old_is_told_with_the_opset_that_it_reads() -> None:
    assert too_old(20, "onnxruntime", "1.16.3") == (
        "onnxruntime 1.16.3 does not read opset 20; say 19, or install a newer one."
    )
    assert too_old(20, "onnxruntime", "1.17.0") is None
    assert too_old(20, "openvino", "2023.0") is None
    assert too_old(18, "onnxruntime", "1.13.1") == "onnxruntime 1.13.1 does not read opset 18; install a newer one."
