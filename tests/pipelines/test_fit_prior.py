"""What the prior's exponents are fitted on: healthy brain alone, each voxel with its own label, logits and atlas."""

import numpy as np
import pytest
import torch

from models.priors.exponent import Exponents, loss
from pipelines.fit_prior import CELLS, HEALTHY_BRAIN, at_beta, describe, keep, of_cells, some_cells
from triage.anatomy import LESION, N_CLASSES

N = 60


def scene(seed: int = 0, n: int = N) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "logits": torch.randn(N_CLASSES, 8, n, generator=generator),
        "classes": torch.randint(N_CLASSES, (8, n), generator=generator).to(torch.uint8),
        "atlas": torch.softmax(torch.randn(LESION, n, generator=generator), dim=0),
        "frequency": torch.softmax(torch.randn(LESION, generator=generator), dim=0),
    }


def test_every_voxel_of_healthy_brain_counts_once_with_its_label_logits_and_atlas():
    one = scene()

    found = of_cells(**one)

    expected = sorted(
        (int(one["classes"][v, n]) - 2, float(one["logits"][5, v, n]), float(torch.log(one["atlas"][5, n])))
        for v in range(8)
        for n in range(N)
        if 2 <= one["classes"][v, n] < LESION
    )
    seen = sorted(zip(found.chosen.tolist(), *(found.terms[j, 5 - 2].tolist() for j in (0, 1)), strict=True))
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)


def test_only_cells_that_hold_healthy_brain_are_drawn_each_once_and_no_more_than_asked_for():
    classes = torch.zeros(8, 3 * CELLS, dtype=torch.uint8)
    classes[3, ::2] = 4
    classes[5, 1::2] = LESION

    drawn = some_cells(classes, torch.Generator().manual_seed(0))

    assert len(drawn) == len(drawn.unique()) == CELLS
    assert not (drawn % 2).any()


def test_the_third_term_divides_the_atlas_by_the_frequency_in_training():
    one = scene()

    found = of_cells(**one)

    ratio = torch.exp(found.terms[1] - found.terms[2])
    torch.testing.assert_close(ratio, one["frequency"][HEALTHY_BRAIN][:, None].expand_as(ratio))


def test_bounds_at_a_beta_leave_only_the_temperature_free():
    bounds = at_beta(0.4, Exponents(temperature=2.0, beta=0.7, gamma=0.25, offsets=(0.0, -1.5)))

    assert bounds[0][0] < bounds[0][1]
    found = Exponents.at(np.array([1.0, *(low for low, _ in bounds[1:])]))
    assert (found.beta, found.gamma) == (pytest.approx(0.4), pytest.approx(0.25))
    assert found.offsets == (0.0, -1.5)
    assert all(low == high for low, high in bounds[1:])


def test_what_is_fitted_and_what_it_won_is_said(capsys):
    subjects = [of_cells(**scene(seed)) for seed in range(3)]

    found = describe("manual", subjects)

    best = found["exponents"]
    theta = np.array([1 / best.temperature, *(low for low, _ in at_beta(best.beta, best)[1:])])
    assert found["nll"] == pytest.approx(np.mean([loss(theta, s)[0] for s in subjects]), abs=1e-6)
    assert found["nll"] <= found["nll_without_offsets"] <= found["nll_without_prior"]
    assert "manual labels, 3 subjects" in capsys.readouterr().out


def test_a_bundle_keeps_what_was_fitted_as_offsets_of_the_brain_alone():
    settings = {"temperature": 1.5}
    inside = tuple(float(k) for k in range(HEALTHY_BRAIN.stop - HEALTHY_BRAIN.start))

    keep(settings, Exponents(temperature=2.0, beta=0.4, gamma=0.0, offsets=inside))

    assert settings["temperature"] == 3.0  # the posterior was divided by the one that stood there
    assert (settings["beta"], settings["training_prior_exponent"]) == (0.4, 0.0)
    assert settings["class_offsets"] == [0.0, 0.0, *inside]
