"""The thinned cells of an image stand for all of them."""

import pytest
import torch

from models.cells import Cells
from models.network import SUBVOXELS
from pipelines.draw_cells import CELLS_A_CLASS, CELLS_BY_RESIDUAL, thin

RARE = 100
COMMON = 20_000


@pytest.fixture(scope="module")
def every() -> Cells:
    """Background with a small structure of 100 cells. The feature says which cell it is."""
    classes = torch.zeros(SUBVOXELS, COMMON, dtype=torch.int64)
    classes[:, :RARE] = 5
    features = torch.stack([torch.arange(COMMON).float(), torch.ones(COMMON)])
    return Cells(subject="a", features=features, classes=classes, weight=torch.ones(COMMON))


@pytest.fixture(scope="module")
def log_p(every) -> torch.Tensor:
    """A head that has a tenth of the background wrong and is sure of the rest."""
    logits = 8 * torch.nn.functional.one_hot(every.classes, 12).permute(0, 2, 1).float()
    logits[:, 3, 1000:3000] = 12
    return torch.log_softmax(logits, dim=1)


def draw(every: Cells, log_p: torch.Tensor, seed: int) -> Cells:
    return thin(every, log_p, torch.Generator().manual_seed(seed))


def test_every_cell_of_a_small_structure_is_kept_with_weight_one(every, log_p):
    cells = draw(every, log_p, 0)

    small = cells.classes[0] == 5
    assert int(small.sum()) == RARE
    torch.testing.assert_close(cells.weight[small], torch.ones(RARE))


def test_about_as_many_are_drawn_as_asked(every, log_p):
    n = draw(every, log_p, 0).features.shape[1]

    assert n == pytest.approx(RARE + CELLS_A_CLASS + CELLS_BY_RESIDUAL, rel=0.1)


def test_cells_that_the_trained_head_has_wrong_are_drawn_more_often(every, log_p):
    which = draw(every, log_p, 0).features[0]

    wrong = (which >= 1000) & (which < 3000)
    assert float(wrong.float().mean()) > 0.5


def test_weighted_sums_over_the_sample_estimate_those_over_the_image(every, log_p):
    quantity = torch.sin(every.features[0] / 2000)
    drawn = [draw(every, log_p, seed) for seed in range(40)]
    sums = torch.stack([(torch.sin(c.features[0] / 2000) * c.weight).sum() for c in drawn])
    counts = torch.stack([c.weight.sum() for c in drawn])

    for estimate, truth in ((sums, float(quantity.sum())), (counts, float(COMMON))):
        assert float(estimate.mean()) == pytest.approx(truth, abs=4 * float(estimate.std()) / 40**0.5)
