"""A network that was trained without kdbench: a plain loop over scikit-learn's handwritten digits.

python suites/given/plain_digits.py      writes digits.pt beside this file, and says what its owner knows of it
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


class Net(nn.Module):
    """Two convolutions and a linear layer; (B, 1, 8, 8) -> logits (B, 10)."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        )
        self.head = nn.Linear(32 * width, 10)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(image))
        return logits


def trained(epochs: int, width: int = 8) -> tuple[nn.Module, Tensor]:
    """The network, and its answers (N,) to the test examples, in their order.

    The test examples are those of kdbench's task `digits`, which its owner has to keep out of the training. Images are
    scaled by the training examples' mean and standard deviation, as the task does it.
    """
    from sklearn.datasets import load_digits

    from kdbench.tasks.arrays import stratified_split

    digits = load_digits()
    images = (torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16 - 0.306030) / 0.376209
    labels = torch.tensor(digits.target)
    train, _, test = (torch.tensor(split) for split in stratified_split(digits.target, (0.6, 0.2, 0.2), 0))
    torch.manual_seed(1)
    net = Net(width)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(train)).split(64):
            batch = train[chosen]
            optimizer.zero_grad()
            functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        answers = net.eval()(images[test]).argmax(1)
    print(f"{int((answers == labels[test]).sum())} of {len(test)} test digits are right.")
    return net, answers


if __name__ == "__main__":
    place = Path(__file__).with_name("digits.pt")
    torch.save({"model_state_dict": trained(epochs=20)[0].state_dict()}, place)
    print(f"{place}: its weights.")
