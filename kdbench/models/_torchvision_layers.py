"""Where techniques tap torchvision's networks by default: module paths by family. Knows no torch.

A stage ends where the image is next halved. There are no pre-activations: the ReLUs of these networks work in place or
run several times a pass, so their inputs cannot be tapped.
"""

from itertools import accumulate

from kdbench.protocols import Layers

VGG_CONVS = {"11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}
"""Convolutions between poolings (Simonyan and Zisserman 2015, table 1)."""


def _paths(pattern: str, *numbers: int) -> tuple[str, ...]:
    return tuple(pattern.format(number) for number in numbers)


RESNET = Layers(stem="maxpool", stages=_paths("layer{}", 1, 2, 3, 4), embedding="avgpool")

FAMILIES = {
    "resnet": RESNET,
    "resnext": RESNET,
    "wide_resnet": RESNET,
    "regnet": Layers(stem="stem", stages=_paths("trunk_output.block{}", 1, 2, 3, 4), embedding="avgpool"),
    # what the classifiers of densenet and shufflenet see comes from no module
    "densenet": Layers(stem="features.pool0", stages=_paths("features.denseblock{}", 1, 2, 3, 4)),
    "shufflenet_v2": Layers(stem="maxpool", stages=_paths("stage{}", 2, 3, 4)),
    "mobilenet_v2": Layers(stem="features.0", stages=_paths("features.{}", 1, 3, 6, 13, 17), embedding="classifier.0"),
    "mobilenet_v3_large": Layers(
        stem="features.0", stages=_paths("features.{}", 1, 3, 6, 12, 15), embedding="classifier.2"
    ),
    "mobilenet_v3_small": Layers(
        stem="features.0", stages=_paths("features.{}", 1, 3, 8, 11), embedding="classifier.2"
    ),
    "mnasnet": Layers(stem="layers.7", stages=_paths("layers.{}", 8, 9, 11, 13), embedding="classifier.0"),
    "efficientnet_v2_s": Layers(
        stem="features.0", stages=_paths("features.{}", 1, 2, 3, 5, 6), embedding="classifier.0"
    ),
    "efficientnet": Layers(stem="features.0", stages=_paths("features.{}", 1, 2, 3, 5, 7), embedding="classifier.0"),
    "convnext": Layers(stem="features.0", stages=_paths("features.{}", 1, 3, 5, 7), embedding="classifier.1"),
}
"""Family -> layers. An architecture belongs to the first family with whose name its own begins."""


def layers(architecture: str) -> Layers:
    """Default layers of an architecture; empty where its features are not maps (B, C, H, W), or not in clear stages."""
    if architecture.startswith("vgg"):
        return _vgg(architecture)
    return next((found for start, found in FAMILIES.items() if architecture.startswith(start)), Layers())


def _vgg(architecture: str) -> Layers:
    """The last ReLU before each pooling; the first group is the stem."""
    depth, _, norm = architecture.removeprefix("vgg").partition("_")
    modules = [count * (3 if norm else 2) + 1 for count in VGG_CONVS[depth]]  # the last one is the pooling
    stem, *stages = (end - 2 for end in accumulate(modules))
    return Layers(stem=f"features.{stem}", stages=_paths("features.{}", *stages), embedding="classifier.5")
