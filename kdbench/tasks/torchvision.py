"""The small image data sets that torchvision knows how to fetch and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kdbench.errors import DataError
from kdbench.protocols import Preprocessing, TaskDescription
from kdbench.tasks._images import Images

if TYPE_CHECKING:
    from kdbench.tasks._labelled import Labelled


class TorchvisionImages(Images):
    """A data set with a training and a test part, kept where torchvision keeps it."""

    version: ClassVar[int] = 2
    dataset: ClassVar[str]
    """Name of its class in torchvision.datasets."""
    folder: ClassVar[str]
    """The folder under `root` in which torchvision keeps it."""
    preprocessing: ClassVar[Preprocessing]
    origin: ClassVar[str]
    """Its source and its terms, as far as its authors state them."""

    root: str
    """torchvision's data folder."""
    download: bool = False
    """Fetch the data where it is not there yet."""

    def identity(self) -> dict[str, Any]:
        """Every field but `root` and `download`: the data set is the same everywhere. Raises DataError without it."""
        if not self.download and not self._place().is_dir():
            raise DataError(self._missing("there is no such folder"))
        return self.model_dump(mode="json", exclude={"root", "download"})

    def data_origin(self) -> str:
        return self.origin

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError when the data is not there, cannot be fetched, or is damaged."""
        from kdbench.tasks._labelled import with_validation, write_images

        train, class_names = self._read(train=True)
        test, _ = self._read(train=False)
        splits = with_validation(train, test, self.validation_fraction, self.split_seed)
        origin = self.validation_origin()
        return write_images(out, splits, class_names, self.preprocessing, validation_origin=origin)

    def _read(self, train: bool) -> tuple[Labelled, tuple[str, ...]]:
        import numpy as np
        import torchvision

        from kdbench.tasks._labelled import Labelled

        place = Path(self.root).expanduser()
        try:
            found = getattr(torchvision.datasets, self.dataset)(place, train=train, download=self.download)
        except (RuntimeError, OSError, ValueError, AssertionError) as error:
            # the first sentence; what follows are remedies in torchvision's words
            raise DataError(self._missing(str(error).strip().split("\n")[0].partition(". ")[0])) from None
        pixels = np.asarray(found.data)
        images = pixels[:, np.newaxis] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
        return Labelled(images, np.asarray(found.targets)), tuple(found.classes)

    def _place(self) -> Path:
        return Path(self.root).expanduser() / self.folder

    def _missing(self, reason: str) -> str:
        remedy = "check the connection" if self.download else "set download: true, or put its files there"
        return f"cannot read {self.dataset} from '{self._place()}' ({reason.rstrip('.')}); {remedy}."


class MNIST(TorchvisionImages):
    """70,000 handwritten digits, 28x28, grey, 10 classes; 10,000 of them are the test images.

    Mirrored digits are other signs: `crop_flip` does not suit it.
    """

    paper: ClassVar[str] = "LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition"
    dataset: ClassVar[str] = "MNIST"
    folder: ClassVar[str] = "MNIST/raw"
    origin: ClassVar[str] = (
        "MNIST (LeCun, Cortes, Burges), made from NIST's Special Databases 1 and 3; CC BY-SA 3.0 as Keras states it."
    )
    # over the 60,000 training images; the numbers of PyTorch's MNIST example
    preprocessing: ClassVar[Preprocessing] = Preprocessing(scale=1 / 255, mean=(0.1307,), std=(0.3081,))


class FashionMNIST(TorchvisionImages):
    """70,000 pictures of clothes, 28x28, grey, 10 classes; 10,000 of them are the test images."""

    paper: ClassVar[str] = "Xiao et al. 2017, Fashion-MNIST"
    dataset: ClassVar[str] = "FashionMNIST"
    folder: ClassVar[str] = "FashionMNIST/raw"
    origin: ClassVar[str] = "Fashion-MNIST, Xiao et al. 2017, copyright Zalando SE; MIT licence."
    # over the 60,000 training images
    preprocessing: ClassVar[Preprocessing] = Preprocessing(scale=1 / 255, mean=(0.2860,), std=(0.3530,))


class CIFAR10(TorchvisionImages):
    """60,000 colour photographs, 32x32, 10 classes; 10,000 of them are the test images."""

    paper: ClassVar[str] = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
    dataset: ClassVar[str] = "CIFAR10"
    folder: ClassVar[str] = "cifar-10-batches-py"
    origin: ClassVar[str] = (
        "CIFAR-10, Krizhevsky 2009, a labelled part of 80 Million Tiny Images; its page states no licence."
    )
    # over the 50,000 training images
    preprocessing: ClassVar[Preprocessing] = Preprocessing(
        scale=1 / 255, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)
    )


class CIFAR100(TorchvisionImages):
    """60,000 colour photographs, 32x32, 100 classes; 10,000 of them are the test images."""

    paper: ClassVar[str] = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
    dataset: ClassVar[str] = "CIFAR100"
    folder: ClassVar[str] = "cifar-100-python"
    origin: ClassVar[str] = (
        "CIFAR-100, Krizhevsky 2009, a labelled part of 80 Million Tiny Images; its page states no licence."
    )
    # over the 50,000 training images, as in the loaders of Tian et al. 2020 (CRD)
    preprocessing: ClassVar[Preprocessing] = Preprocessing(
        scale=1 / 255, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)
    )
