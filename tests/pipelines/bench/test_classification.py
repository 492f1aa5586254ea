"""The page of the classification: who is compared with whom, and what an AUROC of few scans is worth."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm

from pipelines.bench.classification import kept_cases
from pipelines.bench.classification_comparisons import COMPARISONS, auroc_interval, compared
from pipelines.bench.classification_page import KEYS, calibration, confusion, wilson, write
from pipelines.bench.classification_scans import AS_IT_IS, GROUPS, STRIPPED, THICK, at_2_mm, read_scans, stripped
from pipelines.metrics import auroc
from pipelines.preprocess import Conformed
from triage.case import Volume
from triage.errors import TriageError

HEADER = "case,source,age,finding,split,t1,flair,t1c\n"
TABLE = HEADER + (
    "ixi_a,nichart,50,normal,test,a.nii,,\n"
    "ixi_b,nichart,,normal,calibrate,b.nii,,\n"
    "ixi_c,nichart,40,normal,tune,c.nii,,\n"
    "malf_d,malf_templates,20,normal,calibrate,d.nii,,\n"
    "old_e,nichart,80,wmh/atrophy,pathology,e.nii,ef.nii,\n"
    "ms_f,open_ms,,ms,pathology,f.nii,ff.nii,\n"
    "brats_g,brats,,tumour,pathology,,gf.nii,gc.nii\n"
    "aged_h,other,,normal (aged),pathology,h.nii,,\n"
    "flair_i,other,,normal?,pathology,,i.nii,\n"
)


def a_row(group: str, p: float, **changes: Any) -> dict[str, Any]:
    """A scan whose finding has the probability p and normal the rest."""
    truth = next(g.truth for g in GROUPS if g.name == group)
    at = KEYS.index(truth[0]) if truth and truth[0] != "normal" else 1
    q = [1 - p, 0.0, 0.0, 0.0, 0.0]
    q[at] += p
    row = {
        "case": f"{group} {p}",
        "group": group,
        "copy": AS_IT_IS,
        "truth": list(truth),
        "age_years": math.nan,
        "p": q,
    }
    return {**row, "entropy": 0.5, "ventricles": p, "lesion": 1 - p, **changes}


def results() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    looks = [(g.name, copy) for g in GROUPS for copy in (*g.copies, "damaged")] * 4
    real = [a_row(group, float(rng.random()), copy=copy) for group, copy in looks]
    synthetic = [{"truth": key, "p": np.eye(5)[i].tolist()} for i, key in enumerate(KEYS)] * 3
    fit = {"cases": 15, "label_maps": 3, "held_out_nll": 0.4, "held_out_accuracy": 0.9}
    compare = [compared(c, real) for c in COMPARISONS]
    rest = {"ablation": {"facts alone": [0.5, 0.8]}, "comparisons": compare}
    return {"bundle": "b 1.0", "fit": fit, "synthetic": synthetic, "real": real, **rest}


def test_nothing_of_the_tune_split_is_looked_at_and_a_glioma_is_looked_at_twice(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(TABLE)

    scans = list(read_scans(tmp_path / "cases.csv"))

    assert [(s.name, s.group, s.path.name) for s in scans] == [
        ("ixi_a", "IXI", "a.nii"),
        ("ixi_b", "IXI", "b.nii"),
        ("malf_d", "OASIS", "d.nii"),
        ("old_e", "elderly", "e.nii"),
        ("ms_f", "MS", "f.nii"),
        ("brats_g", "glioma, post-contrast T1", "gc.nii"),
        ("brats_g", "glioma, FLAIR", "gf.nii"),
        ("aged_h", "aged, unlabelled", "h.nii"),
        ("flair_i", "FLAIR, unlabelled", "i.nii"),
    ]
    assert [s.copies for s in scans[:2]] == [(AS_IT_IS, STRIPPED, THICK), (AS_IT_IS,)]
    assert math.isnan(scans[1].age_years)


@pytest.mark.parametrize(("area", "n", "m"), [(0.9, 15, 85), (0.6, 3, 27), (0.3, 10, 10)])
def test_the_interval_holds_the_areas_whose_own_spread_reaches_the_one_seen(area: float, n: int, m: int) -> None:
    low, high = auroc_interval(area, n, m)

    z, middle = norm.ppf(0.975), (n + m) / 2 - 1
    for end in (low, high):
        spread = end * (1 - end) * (1 + middle * ((1 - end) / (2 - end) + end / (1 + end))) / (n * m)
        assert abs(area - end) == pytest.approx(z * math.sqrt(spread), rel=1e-6)
    assert low < area < high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    n, m, shift = 12, 40, 1.2
    true = float(norm.cdf(shift / math.sqrt(2)))
    positive = np.arange(n + m) < n
    covered = 0
    for _ in range(400):
        low, high = auroc_interval(auroc(rng.normal(size=n + m) + shift * positive, positive), n, m)
        covered += low <= true <= high

    assert 0.91 < covered / 400 < 0.99


def test_three_positives_that_all_score_highest_prove_little() -> None:
    low, high = auroc_interval(1.0, 3, 27)

    assert (low < 0.8, high) == (True, 1.0)


def test_without_scans_there_is_no_interval() -> None:
    assert all(math.isnan(end) for end in auroc_interval(math.nan, 0, 3))


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 7), (40, 41)])
def test_the_interval_of_a_share_is_that_of_scipy(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(method="wilson")

    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_interval_of_all_or_of_none_reaches_the_end_exactly() -> None:
    assert all(wilson(0, n)[0] == 0 and wilson(n, n)[1] == 1 for n in range(1, 200))


def test_a_comparison_takes_its_groups_and_copies_and_no_other() -> None:
    rows = [a_row("elderly", p, age_years=80.0) for p in (0.7, 0.9)]
    rows += [a_row("IXI", p, age_years=a) for p, a in ((0.1, 65.0), (0.8, 40.0))]
    rows += [a_row("IXI", 1.0, copy=STRIPPED), a_row("MS", 0.0)]
    whole, old = COMPARISONS[1], COMPARISONS[2]

    found, found_old = compared(whole, rows), compared(old, rows)

    assert (found["positives"], found["negatives"], found["auroc"]) == (2, 2, 0.75)
    assert (found_old["negatives"], found_old["auroc"], found_old["age"]) == (1, 1.0, 1.0)
    assert (found["ventricles"], found["lesion"]) == (0.75, 0.25)


def test_copies_of_the_same_people_have_an_area_but_no_interval() -> None:
    damaged, whole = COMPARISONS[-1], COMPARISONS[1]
    rows = [a_row("IXI", 0.1 * k, case=f"person {k}") for k in range(6)]
    rows += [a_row("IXI", 0.5, copy="damaged", case=f"person {k}") for k in (0, 0, 1, 1)]
    rows += [a_row("elderly", 0.9, case=f"old {k}") for k in range(3)]

    copies, people = compared(damaged, rows), compared(whole, rows)

    assert (copies["positives"], math.isnan(copies["auroc"])) == (4, False)
    assert math.isnan(copies["low"]) and math.isnan(copies["high"])
    assert people["low"] < people["auroc"]


def test_without_the_cases_that_it_was_fitted_on_the_error_names_the_command_that_draws_them(tmp_path: Path) -> None:
    (tmp_path / "0-0000.npz").touch()

    with pytest.raises(TriageError, match=r"1 of the 200 synthetic .*pipelines\.fit_classifier .*--cases 200"):
        kept_cases(tmp_path, 200)


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: c.name)
def test_a_comparison_names_groups_copies_and_findings_that_exist(comparison: Any) -> None:
    made = {(g.name, c) for g in GROUPS for c in (*g.copies, "damaged")}

    assert {*comparison.positives, *comparison.negatives} <= made
    assert set(comparison.keys) <= set(KEYS)


def test_every_second_voxel_lies_where_it_lay() -> None:
    ramp = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((20, 20, 20), np.float32)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (-5, 3, 7)

    half = at_2_mm(Volume(array=ramp, affine=affine))

    assert half.spacing_mm == pytest.approx((2, 2, 2))
    x_mm = half.affine[0, 0] * np.arange(10) + half.affine[0, 3]
    np.testing.assert_allclose(half.array[2:-2, 5, 5], x_mm[2:-2] + 5, atol=1e-3)


def test_stripping_keeps_the_largest_brain_and_loses_the_scalp() -> None:
    logits = torch.zeros(2, 16, 16, 16)
    logits[1, 4:12, 4:12, 4:12] = 20.0  # brain
    logits[1, 0, 0, 0] = 20.0  # scalp that looks like brain
    head = torch.zeros(16, 3)
    head[:8, 2], head[8:, 1] = 5.0, 1.0
    image = np.ones((32, 32, 32), np.float32)
    conformed = Conformed(image=image, affine=np.eye(4), extent=(32, 32, 32), cut=(False,) * 6, snr=20.0)

    volume = stripped(conformed, logits, head)

    assert volume.array[16, 16, 16] == 1
    assert volume.array[0, 0, 0] == volume.array[30, 16, 16] == 0


def test_the_confusion_counts_every_case_once() -> None:
    lines = confusion(results()["synthetic"]).splitlines()[2:]

    assert [[int(c) for c in line.split("|")[2:-1]] for line in lines] == (3 * np.eye(5, dtype=int)).tolist()


def test_calibration_counts_only_scans_whose_truth_is_known() -> None:
    rows = [a_row("IXI", 0.1), a_row("elderly", 0.9), a_row("aged, unlabelled", 0.5)]

    counts = [int(line.split("|")[2]) for line in calibration(rows).splitlines()[2:]]

    assert counts == [1, 0, 0, 1]


def test_the_page_says_what_it_cannot_say(tmp_path: Path) -> None:
    text = write(results(), tmp_path)

    assert "no diagnosis" in text
    assert "**The elderly are older**" in text
    assert "4 elderly, 4 MS, 4 glioma" in text
    assert "the lower end of the interval is what may be quoted" in text
    assert all((tmp_path / name).stat().st_size < 150_000 for name in ("classification-patterns.png",))
