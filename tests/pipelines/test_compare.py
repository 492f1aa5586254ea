"""Posteriors side by side: what one case gives, and what a row of the table makes of it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.posteriors import POSTERIORS
from models.posteriors.heads import HeadSamples
from models.posteriors.point import PointPosterior
from pipelines.compare import GRADED, Grades, SampledCase, grade, predictive, read_grades, write_grades
from pipelines.metrics import FINE_BINS, augrc
from pipelines.posterior_grades import gains, heads, per_structure, summary
from pipelines.posterior_table import COLUMNS, as_table, read_posteriors
from triage.anatomy import LESION, N_CLASSES
from triage.errors import TriageError

CELLS, FEATURES = 40, 3


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def case(generator: torch.Generator) -> SampledCase:
    """Random features, every class present, no prior, every voxel in every band."""
    classes = np.resize([0, *range(2, LESION)], (8, CELLS)).astype(np.uint8)
    everywhere = np.ones((len(GRADED), 8, CELLS), bool)
    features = torch.cat([torch.randn(FEATURES, CELLS, generator=generator), torch.ones(1, CELLS)])
    return SampledCase(
        cells=torch.arange(CELLS),
        features=features,
        ratio=torch.ones(LESION, CELLS),
        classes=classes,
        around=everywhere,
        band=everywhere,
    )


def certain(classes: np.ndarray, confidence: float = 1.0) -> Tensor:
    """The truth with this confidence, the rest on lesion."""
    p = torch.nn.functional.one_hot(torch.from_numpy(classes).long(), N_CLASSES).permute(2, 0, 1).float() * confidence
    p[LESION] += 1 - confidence
    return p


def graded(nll: float, score: float, dice: float) -> Grades:
    overlap = np.tile([dice * 100, 100, 100], (len(GRADED), 1)).astype(float)
    nothing = np.zeros((len(GRADED), FINE_BINS, 3))
    return Grades(overlap=overlap, nll=nll, brier=0.1, error_auroc=0.9, score=score, around=nothing, band=nothing)


def test_the_predictive_is_the_mean_softmax_over_heads_without_a_prior(
    case: SampledCase, generator: torch.Generator
) -> None:
    drawn = torch.randn(5, 8 * N_CLASSES, FEATURES + 1, generator=generator)

    p = predictive(case, drawn)

    logits = torch.einsum("sof,fn->son", drawn, case.features).view(5, N_CLASSES, 8, CELLS)
    assert torch.allclose(p, torch.softmax(logits, dim=1).mean(dim=0), atol=1e-5)


def test_the_truth_told_with_certainty_has_no_fault(case: SampledCase) -> None:
    found = grade(case, certain(case.classes))

    assert found.dice == pytest.approx(1)
    assert (found.nll, found.brier, found.score) == pytest.approx((0, 0, 0), abs=1e-6)
    assert math.isnan(found.error_auroc)


def test_likelihood_and_brier_are_those_of_the_probability_that_the_truth_was_given(case: SampledCase) -> None:
    found = grade(case, certain(case.classes, 0.8))

    assert found.nll == pytest.approx(-math.log(0.8), rel=1e-5)
    assert found.brier == pytest.approx(0.2**2 + 0.2**2, rel=1e-5)
    summed = summary([found], [])
    assert summed["ece_band"] == pytest.approx(0.2 / 10, rel=1e-4)  # each structure is a tenth of the voxels


def test_sulcal_csf_counts_as_background(case: SampledCase) -> None:
    p = certain(case.classes)
    p[1], p[0] = p[0].clone(), 0.0

    found = grade(case, p)

    assert found.nll == pytest.approx(0, abs=1e-6)


def test_grades_come_back_as_they_were_written(case: SampledCase, tmp_path: Path) -> None:
    found = grade(case, certain(case.classes, 0.7))

    write_grades(tmp_path / "deep" / "one.npz", found)

    again = read_grades(tmp_path / "deep" / "one.npz")
    assert (again.nll, again.score) == (found.nll, found.score)
    assert np.array_equal(again.band, found.band)


def test_a_score_that_orders_cases_by_their_loss_has_the_least_selective_risk() -> None:
    dice = [0.95, 0.9, 0.8, 0.5]
    knowing = summary([graded(0.1, score=1 - d, dice=d) for d in dice[:2]], [graded(0.1, 1 - d, d) for d in dice[2:]])
    misled = summary([graded(0.1, score=d, dice=d) for d in dice[:2]], [graded(0.1, d, d) for d in dice[2:]])

    assert knowing["augrc"] == pytest.approx(augrc(np.arange(4.0), 1 - np.array(dice)))
    assert knowing["augrc"] < misled["augrc"]
    assert knowing["aurc"] < misled["aurc"]
    assert (knowing["spearman"], misled["spearman"]) == pytest.approx((1, -1))


def test_a_case_without_a_score_is_left_out_of_the_selective_risk() -> None:
    cases = [graded(0.1, score=s, dice=d) for s, d in ((0.1, 0.9), (0.2, 0.8))]

    assert summary([*cases, graded(0.1, math.nan, 0.1)], [])["augrc"] == summary(cases, [])["augrc"]


def test_a_gain_is_paired_by_scan() -> None:
    ours, theirs = ([graded(nll + shift, 0.1, 0.9) for nll in (0.1, 0.5, 0.9)] for shift in (0.0, 0.2))

    assert gains(ours, theirs)["nll"] == pytest.approx([-0.2, -0.2, -0.2])


def test_every_structure_has_its_figures(case: SampledCase) -> None:
    rows = per_structure([grade(case, certain(case.classes))])

    assert set(rows) == set(GRADED)
    assert all(row["dice"] == 1 and row["ece_band"] == 0 for row in rows.values())


def test_the_point_estimate_needs_one_head() -> None:
    mean = torch.zeros(8 * N_CLASSES, FEATURES + 1)

    assert heads(PointPosterior(mean=mean)).shape == (1, *mean.shape)
    assert len(heads(HeadSamples(heads=mean.expand(4, *mean.shape)))) == 32


def test_states_are_read_in_the_order_of_the_table_and_what_is_not_fitted_is_left_out(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    mean = torch.zeros(8 * N_CLASSES, FEATURES + 1)
    for name in ("temperature", "point"):
        save_file(PointPosterior(mean=mean).state, tmp_path / f"{name}.safetensors")

    assert list(read_posteriors(tmp_path)) == [name for name in POSTERIORS if name in {"point", "temperature"}]


def test_without_what_a_comparison_needs_the_error_names_it_and_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(TriageError, match=r"point, hmc are not in .*python -m pipelines\.fit_posteriors"):
        read_posteriors(tmp_path, ["point", "hmc"])


def test_the_table_has_a_row_a_posterior_and_a_dash_for_what_was_not_measured() -> None:
    rows = {"point": summary([graded(0.25, 0.1, 0.9)], [])}

    header, _, row = as_table(rows).splitlines()

    assert header.count("|") == row.count("|") == len(COLUMNS) + 2
    assert "| .900 |" in row
    assert "| .250 |" in row
    assert "| - |" in row
