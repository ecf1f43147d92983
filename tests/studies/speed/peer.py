"""torchdistill's own training loop, driven by its configuration, where that package is installed."""

import logging
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torchvision import transforms
from torchvision.datasets import ImageFolder

INSTALLED = find_spec("torchdistill") is not None
CONFIG = {
    "num_epochs": 1,
    "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
    "student": {"forward_proc": "forward_batch_only"},
    "optimizer": {"key": "SGD", "kwargs": {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-4}},
    "criterion": {
        "key": "WeightedSumLoss",
        "kwargs": {
            "sub_terms": {
                "kd": {
                    "criterion": {
                        "key": "KDLoss",
                        "kwargs": {
                            "student_module_path": ".",
                            "student_module_io": "output",
                            "teacher_module_path": ".",
                            "teacher_module_io": "output",
                            "temperature": 4.0,
                            "alpha": 0.5,
                            "reduction": "batchmean",
                        },
                    },
                    "weight": 1.0,
                }
            }
        },
    },
}


def train(student: nn.Module, teacher: nn.Module, pictures: Path, batch_size: int) -> None:
    """One epoch of soft distillation."""
    logging.disable(logging.INFO)  # it logs its whole configuration
    from torchdistill.core.distillation import get_distillation_box

    chain = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    data = ImageFolder(str(pictures / "train"), transforms.Compose(chain))
    loader = {"dataset_id": "train", "sampler": {"class_or_func": torch.utils.data.RandomSampler, "kwargs": {}}}
    loader["kwargs"] = {"batch_size": batch_size, "num_workers": 0}
    whole = {**CONFIG, "train_data_loader": loader}
    box = get_distillation_box(teacher, student, {"train": data}, whole, torch.device("cpu"), None, False, 1.0)
    box.pre_epoch_process(epoch=0)
    for images, targets, further in box.train_data_loader:
        box.pre_forward_process()
        loss = box.forward_process(images, targets, further)
        box.post_forward_process(loss=loss)
    box.post_epoch_process()
    box.clean_modules()
    logging.disable(logging.NOTSET)
