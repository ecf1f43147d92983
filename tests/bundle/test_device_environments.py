"""A folder that is rewritten keeps the environment of every device, though environments belong to no case."""

from pathlib import Path

from kdbench.results import records
from kdbench.results.devices import DeviceRun, KeptDevices
from kdbench.results.records import Environment, Size

FILE = "a" * 64


def carried(folder: Path, device: str) -> Size:
    """What a merge left of one device in devices/; its size record."""
    target = f"{device}-cpu-1t-fp32"
    run = DeviceRun(
        target=target, device=device, bundle="b" * 64, fingerprint=device, facts={}, session={}, batch_sizes=(1,),
        example_count=1, split_example_count=1, record_sha256="",
    )  # fmt: skip
    size = Size(
        suite="s", case="soft", seed=0, key=run.key, target=target, fingerprint=device, parameter_count=1,
        nonzero_parameter_count=1, onnx_bytes=1, onnx_gzip_bytes=1, mac_rule="none", quantized_weight_fraction=0.0,
        onnx_path="m.onnx", onnx_sha256=FILE,
    )  # fmt: skip
    environment = Environment(suite="s", key=device, fingerprint=device, facts={"cpu": device})
    folder.mkdir(exist_ok=True)
    (folder / f"{run.stem}.json").write_text(run.model_dump_json())
    records.append(folder / f"{run.stem}.jsonl", [environment, size])
    return size


def test_each_devices_environment_is_put_back_once(tmp_path: Path) -> None:
    own, _ = (carried(tmp_path / "devices", device) for device in ("board", "phone"))
    devices = KeptDevices(tmp_path)
    found = [*devices.again([own]), *devices.again([own])]
    assert [record.fingerprint for record in found if isinstance(record, Environment)] == ["board", "phone"]
    assert [record.target for record in found if isinstance(record, Size)] == ["board-cpu-1t-fp32", "phone-cpu-1t-fp32"]
