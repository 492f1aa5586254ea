"""Labels drawn by chance under a known head, on clusters that differ, small enough for brute force."""

import pytest
import torch

from models.cells import Cells
from models.network import SUBVOXELS

N_CLASSES, SIZE, CELLS = 3, 2, 40


@pytest.fixture(scope="package")
def head() -> torch.Tensor:
    return torch.randn(N_CLASSES * SUBVOXELS, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="package")
def images(head) -> list[Cells]:
    """Two images of each of four subjects; every subject's labels follow a head somewhat of its own."""
    generator = torch.Generator().manual_seed(0)
    own = {subject: head + 0.3 * torch.randn(head.shape, generator=generator) for subject in "abcd"}
    return [_image(subject, own[subject], generator) for subject in "abcdabcd"]


def _image(subject: str, head: torch.Tensor, generator: torch.Generator) -> Cells:
    features = torch.randn(SIZE, CELLS, generator=generator)
    features[-1] = 1
    p = torch.softmax((head @ features).view(N_CLASSES, SUBVOXELS, -1), dim=0).permute(1, 2, 0)
    classes = torch.multinomial(p.reshape(-1, N_CLASSES), 1, generator=generator).view(SUBVOXELS, -1)
    return Cells(
        subject=subject,
        features=features,
        classes=classes,
        weight=1 + 3 * torch.rand(CELLS, generator=generator),
    )
