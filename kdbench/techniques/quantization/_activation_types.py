"""The type in which each kind of target stores activations: one table for every 8-bit technique."""

from typing import Any

from kdbench.protocols import Destination


def settled(activation_type: str, symmetric: bool | str, destination: Destination) -> dict[str, Any]:
    """The fields `activation_type` and `symmetric`, decided where they are `auto`.

    uint8 on x86: onnxruntime fuses 8-bit convolutions there only for unsigned activations (signed ones left 11 of
    20 convolutions of a ResNet-18 in float, 1.30 against 5.2 times the float speed). int8 on Arm, whose dot products
    are signed. int8 with the zero in the middle for TensorRT, which takes nothing else; on Arm that would cost half
    of the levels and leave every ReLU a kernel of its own.
    """
    arm = destination.machine.lower().startswith(("arm", "aarch"))
    tensorrt = destination.provider == "tensorrt"
    if activation_type == "auto":
        activation_type = "int8" if arm or tensorrt else "uint8"
    if symmetric == "auto":
        symmetric = tensorrt
    return {"activation_type": activation_type, "symmetric": symmetric}
