"""The providers of onnxruntime: names, precisions and the options behind suite fields. Knows no runtime.

`read_from` says which release's own library or header each provider's option names were read from. CPU and OpenVINO ran
here, and QNN on its emulator; no other provider was at hand.
"""

from __future__ import annotations

from kdbench.measure.provider import FOLDER, NVML, RAPL, TF32_AS_ASKED, TF32_OFF, THREADS, Precision, Provider


def _enabled(option: str) -> Precision:
    """TensorRT and MIGraphX may compute any layer in the enabled precision, and choose by speed."""
    return Precision({option: "1"}, computes=None, environment=TF32_OFF if option.startswith("trt") else {})


ROWS: dict[str, Provider] = {
    "cpu": Provider("CPUExecutionProvider", takes_options=False, counter=RAPL, runs_in_caller=True),
    "cuda": Provider(
        "CUDAExecutionProvider",
        read_from="onnxruntime-gpu 1.31.1",
        counter=NVML,
        precisions={
            "fp32": Precision({"use_tf32": "0"}, environment=TF32_OFF),
            "tf32": Precision({"use_tf32": "1"}, "tf32", TF32_AS_ASKED),
        },
        always={"cudnn_conv_algo_search": "EXHAUSTIVE"},
        search={word: {"cudnn_conv_algo_search": word.upper()} for word in ("exhaustive", "heuristic", "default")},
        graphs={"enable_cuda_graph": "1"},
        is_asynchronous=True,
    ),
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        read_from="onnxruntime-gpu 1.31.1, which links TensorRT 10",
        remark="TensorRT 11 has no precision flags: there the types of the file decide; fp16, bf16, int8 are refused.",
        counter=NVML,
        precisions={
            "fp32": Precision(environment=TF32_OFF),  # it has no option for TF32, which is on unless the variable is 0
            "tf32": Precision({}, "tf32", TF32_AS_ASKED),
            **{name: _enabled(f"trt_{name}_enable") for name in ("fp16", "bf16", "int8")},
        },
        engine_cache={
            **dict.fromkeys(("trt_engine_cache_enable", "trt_timing_cache_enable"), "1"),
            **dict.fromkeys(("trt_engine_cache_path", "trt_timing_cache_path"), FOLDER),
        },
        graphs={"trt_cuda_graph_enable": "1"},
        overriding=frozenset(f"trt_{name}_enable" for name in ("fp16", "bf16", "int8")),
        takes_subgraphs=True,
        is_asynchronous=True,
    ),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        read_from="onnxruntime-openvino 1.24.1, its last release",
        remark="OpenVINO's own runtime is newer and reads the same file: runtime: openvino.",
        counter=RAPL,
        precisions={
            "fp32": Precision({"precision": "FP32"}),
            # the hint outweighs `precision` (seen in onnxruntime 1.24.1); a CPU without bf16 is free to ignore it
            "bf16": Precision(
                {"precision": "ACCURACY", "load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}'}, None
            ),
            "fp16": Precision({"precision": "FP16", "device_type": "GPU"}, "fp16"),  # its CPU device refuses FP16
        },
        always={"num_of_threads": THREADS, "num_streams": "1"},
        engine_cache={"cache_dir": FOLDER},
        overriding=frozenset({"load_config", "precision"}),
        takes_subgraphs=True,
    ),
    "coreml": Provider(
        "CoreMLExecutionProvider",
        read_from="onnxruntime 1.32.0 for macOS",
        precisions={
            # the neural engine has no float32, and the older model format lets the GPU use half
            "fp32": Precision({"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}),
            "fp16": Precision({"ModelFormat": "NeuralNetwork", "MLComputeUnits": "ALL"}, computes=None),
        },
        engine_cache={"ModelCacheDirectory": FOLDER},
        overriding=frozenset({"AllowLowPrecisionAccumulationOnGPU"}),
        takes_subgraphs=True,
    ),
    "directml": Provider(
        "DmlExecutionProvider",
        is_legacy=True,
        remark="Legacy: Microsoft only maintains it; new work goes into plug-in providers for Windows ML.",
        is_asynchronous=True,
    ),
    "migraphx": Provider(
        "MIGraphXExecutionProvider",
        read_from="onnxruntime-migraphx 1.27.1",
        precisions={
            "fp32": Precision(),
            **{name: _enabled(f"migraphx_{name}_enable") for name in ("fp16", "bf16", "int8")},
        },
        search={"exhaustive": {"migraphx_exhaustive_tune": "1"}, "default": {"migraphx_exhaustive_tune": "0"}},
        engine_cache={"migraphx_model_cache_dir": FOLDER},
        overriding=frozenset(f"migraphx_{name}_enable" for name in ("fp16", "bf16", "fp8", "int8")),
        takes_subgraphs=True,
        is_asynchronous=True,
    ),
    "qnn": Provider(
        "QNNExecutionProvider",
        read_from="onnxruntime-qnn 2.7.0",
        precisions={  # its default computes float32 files in half on the HTP
            "fp32": Precision({"enable_htp_fp16_precision": "0"}),
            "fp16": Precision({"enable_htp_fp16_precision": "1"}, "fp16", needs="soc_model"),
        },
        always={"backend_type": "htp"},  # left out, the package for Linux looks for a library that it lacks
        takes_subgraphs=True,
        takes_fixed_shapes=True,
        emulated_on=frozenset({"x86_64", "AMD64"}),
    ),
    "tensorrt_rtx": Provider(
        "NvTensorRTRTXExecutionProvider",
        read_from="onnxruntime-ep-nv-tensorrt-rtx 0.5.0",
        remark="It has no precision flags: the types of the file decide.",
        counter=NVML,
        precisions={"fp32": Precision(environment=TF32_OFF), "tf32": Precision({}, "tf32", TF32_AS_ASKED)},
        engine_cache={"nv_runtime_cache_path": FOLDER},
        takes_subgraphs=True,
        is_asynchronous=True,
    ),
    "xnnpack": Provider(
        "XnnpackExecutionProvider",
        read_from="onnxruntime 1.32.0 for macOS",
        counter=RAPL,
        always={"intra_op_num_threads": THREADS},
    ),
    "webgpu": Provider("WebGpuExecutionProvider", is_asynchronous=True),
}
