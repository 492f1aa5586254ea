"""Cells on disk: what was written is what is read."""

from pathlib import Path

import torch

from models.cells import Cells, read_cells, write_cells


def _cells(subject: str, n: int, seed: int) -> Cells:
    generator = torch.Generator().manual_seed(seed)
    return Cells(
        subject=subject,
        features=torch.randn(5, n, generator=generator).half().float(),
        classes=torch.randint(0, 12, (8, n), generator=generator),
        weight=torch.rand(n, generator=generator) + 0.5,
    )


def test_cells_come_back_in_their_order_with_their_subjects(tmp_path: Path) -> None:
    images = [_cells("b", 3, 0), _cells("a", 7, 1), _cells("b", 2, 2), *(_cells("c", 1, s) for s in range(3, 13))]

    write_cells(tmp_path / "new" / "cells.safetensors", images)

    back = read_cells(tmp_path / "new" / "cells.safetensors")
    assert [cells.subject for cells in back] == [cells.subject for cells in images]
    for read, written in zip(back, images, strict=True):
        assert torch.equal(read.features, written.features)
        assert torch.equal(read.classes, written.classes)
        assert torch.equal(read.weight, written.weight)
