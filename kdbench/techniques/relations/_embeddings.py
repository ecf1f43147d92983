"""Linear embeddings of student and teacher into one space; trained beside the student. Knows no formula."""

import math
from collections.abc import Sequence

from torch import Tensor, nn


class Embeddings(nn.Module):
    """A linear layer for each network: features (B, ...) of both in, (B, size) of both out."""

    def __init__(self, student: Sequence[int], teacher: Sequence[int], size: int) -> None:
        """student, teacher: shapes of the features without the batch axis."""
        super().__init__()
        self.student = nn.Linear(math.prod(student), size)
        self.teacher = nn.Linear(math.prod(teacher), size)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        return self.student(student.flatten(1)), self.teacher(teacher.flatten(1))
