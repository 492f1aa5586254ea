"""Fitting the classifier: resumable, told apart by label map, and put into a bundle that then has one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.bundle import CLASSIFIER, METADATA, write_metadata
from models.classify import Classifier
from pipelines.finding_cases import FindingCase
from pipelines.fit_classifier import (
    FOLDS,
    KEYS,
    Described,
    cross_validated,
    draw_features,
    fit,
    held_out,
    install,
    kept_features,
)
from tests.builders import a_volume
from triage.case import Volume

N_FACTS, N_FEATURES = 2, 3


def runner(image: torch.Tensor) -> torch.Tensor:
    """Two features, the image and its square, at half its resolution."""
    half = image[::2, ::2, ::2]
    return torch.stack([half, half.square()])


class Drawn:
    """Draws the same head for every finding and remembers which were asked for."""

    def __init__(self) -> None:
        self.findings: list[str] = []

    def __call__(self, finding: str, rng: np.random.Generator) -> FindingCase:
        self.findings.append(finding)
        return FindingCase(subject=f"map_{rng.integers(9)}", finding=finding, volume=a_volume())


def described(n: int = 200, *, seed: int = 0, shift: float = 3.0) -> Described:
    """Cases whose first fact tells their class, on ten label maps."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(n) % len(KEYS)
    noise = torch.randn(n, N_FACTS + N_FEATURES, generator=generator)
    noise[:, 0] += shift * classes
    return Described(
        descriptors=noise, classes=classes, subjects=tuple(f"map_{i // 3 % 10}" for i in range(n)), n_facts=N_FACTS
    )


def test_the_findings_are_drawn_in_turn_and_what_is_kept_is_not_drawn_again(tmp_path: Path) -> None:
    first, again = Drawn(), Drawn()
    list(draw_features(tmp_path, 3, first, runner, 0))

    paths = list(draw_features(tmp_path, 6, again, runner, 0))

    assert first.findings == list(KEYS[:3])
    assert again.findings == [*KEYS[3:], KEYS[0]]
    assert len({path.name for path in paths}) == len(list(tmp_path.iterdir())) == 6


def test_a_case_that_preprocessing_refuses_is_left_out(tmp_path: Path) -> None:
    nothing = Volume(array=np.zeros((40, 40, 40), np.float32), affine=np.eye(4))

    paths = draw_features(
        tmp_path, 2, lambda key, _rng: FindingCase(subject="a", finding=key, volume=nothing), runner, 0
    )

    assert list(paths) == []


def test_features_are_kept_to_half_precision_and_computed_once(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    first = kept_features(path, a_volume, runner)

    def never() -> Volume:
        raise AssertionError("the volume was read again")

    np.testing.assert_array_equal(kept_features(path, never, runner), first)


def test_a_case_is_judged_by_a_classifier_that_saw_no_case_of_its_label_map() -> None:
    cases = described()
    names = sorted(set(cases.subjects))
    row = 17
    others = [
        i for i, s in enumerate(cases.subjects) if names.index(s) % FOLDS != names.index(cases.subjects[row]) % FOLDS
    ]

    by_hand = fit(cases, 1.0, 1.0, torch.tensor(others)).sample(cases.descriptors[row], 256, seed=0).mean(dim=0)

    np.testing.assert_allclose(held_out(cases, 1.0, 1.0)[row], by_hand, atol=1e-9)


def test_classes_that_differ_are_told_apart_and_classes_that_do_not_are_left_to_chance() -> None:
    nll, accuracy = cross_validated(described(), 1.0, 1.0)
    nothing, _ = cross_validated(described(shift=0.0), 100.0, 100.0)

    assert accuracy > 0.7
    assert nll < 0.8
    assert nothing == pytest.approx(np.log(len(KEYS)), abs=0.1)


def test_facts_and_features_have_a_prior_of_their_own() -> None:
    weights = fit(described(), 1.0, 1e6).weights

    assert weights[:, N_FACTS:-1].abs().max() < 1e-2
    assert weights[:, 0].abs().max() > 0.5


def test_an_installed_classifier_is_named_by_its_bundle(tmp_path: Path) -> None:
    write_metadata(tmp_path / METADATA, {"brain_triage": {"beta": 0.5}})
    classifier = fit(described(), 1.0, 1.0)

    install(tmp_path, classifier, {"cases": 200})

    settings = json.loads((tmp_path / METADATA).read_text())["brain_triage"]
    assert settings == {"beta": 0.5, "findings": list(KEYS), "findings_fit": {"cases": 200}}
    assert (tmp_path / CLASSIFIER).is_file()
    assert isinstance(classifier, Classifier)
