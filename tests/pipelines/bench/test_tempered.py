"""A temperature of a posterior's own: found where the likelihood is best, and divided by as in a bundle."""

import numpy as np
import pytest
import torch

from models.posteriors.point import PointPosterior
from pipelines.bench.tempered import fit_temperature, tempered
from pipelines.compare import GRADED, SampledCase
from triage.anatomy import LESION, N_CLASSES

CELLS, FEATURES = 600, 3


def test_the_temperature_by_which_the_logits_were_made_too_large_is_found():
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(8 * N_CLASSES, FEATURES + 1, generator=generator)
    rows = torch.arange(8 * N_CLASSES)
    true[rows // 8 == LESION] = -20 * torch.eye(FEATURES + 1)[-1]  # no lesion: a temperature leaves it as it was
    true[rows // 8 == 1] = true[rows // 8 == LESION]  # nor sulcal CSF, which counts as background
    features = torch.cat([torch.randn(FEATURES, CELLS, generator=generator), torch.ones(1, CELLS)])
    p = torch.softmax((true @ features).view(N_CLASSES, 8, CELLS), dim=0)
    classes = torch.multinomial(p.permute(1, 2, 0).reshape(-1, N_CLASSES), 1, generator=generator).view(8, CELLS)
    everywhere = np.ones((len(GRADED), 8, CELLS), bool)
    case = SampledCase(
        cells=torch.arange(CELLS),
        features=features,
        ratio=torch.ones(LESION, CELLS),
        classes=classes.numpy().astype(np.uint8),
        around=everywhere,
        band=everywhere,
    )

    found = fit_temperature(PointPosterior(mean=1.6 * true), [case])

    assert found == pytest.approx(1.6, rel=0.06)  # 4,800 draws of a class


def test_a_posterior_with_a_temperature_is_the_posterior_divided_by_it():
    mean = torch.randn(8 * N_CLASSES, FEATURES + 1, generator=torch.Generator().manual_seed(0))

    found = tempered({"point": PointPosterior(mean=mean), "laplace": PointPosterior(mean=mean)}, {"point": 2.0})

    assert set(found) == {"point"}
    assert torch.equal(found["point"].mean, mean / 2)
