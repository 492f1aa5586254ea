"""Which corrections teach: those that were the last word on what the reviewer saw, and judge no model."""

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipelines.folders import SUPERSEDED
from pipelines.retrain_corrections import open_ledger, read_corrections
from pipelines.settings import Settings
from tests.pipelines.corrected_cases import a_correction, correct, decide, read
from tests.triage.review.desks import ACCEPT, REJECT
from tests.verdicts import BUNDLE
from triage.ledger import Split
from triage.review.records import Opinion

NEWER = replace(BUNDLE, digest="e" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(out=tmp_path / "out", state=tmp_path / "state")


def test_what_a_newer_model_made_of_the_case_is_no_work_of_the_reviewer(settings: Settings) -> None:
    case = a_correction(1)
    open_ledger(settings).freeze(["person 1"], Split.TRAIN)
    correct(settings, case)
    decide(settings, replace(case, seen=np.zeros_like(case.seen)), bundle=NEWER)

    (found,) = read_corrections(settings).train
    seen = np.asarray(nib.load(found.seen).dataobj)
    shutil.rmtree(settings.out / SUPERSEDED)
    later = read_corrections(settings)

    np.testing.assert_array_equal(seen, case.seen)
    assert not later.train
    assert later.left_out == {"whose image and segmentation are not in the output folder as they were read": 1}


@pytest.mark.parametrize("opinion", [ACCEPT, REJECT])
def test_a_correction_that_a_later_verdict_took_back_teaches_nothing(settings: Settings, opinion: Opinion) -> None:
    case = a_correction(1)
    open_ledger(settings).freeze(["person 1"], Split.TRAIN)
    correct(settings, case)
    decide(settings, case, bundle=NEWER)
    read(settings, case, opinion)

    found = read_corrections(settings)

    assert not found.train
    assert found.left_out == {"that a later verdict on the case took back": 1}


def test_who_was_read_blind_judges_the_model_and_teaches_none(settings: Settings) -> None:
    blind = {number: a_correction(number) for number in range(1, 7)}
    open_ledger(settings).freeze(["person 1"], Split.TRAIN)
    for case in blind.values():
        decide(settings, case, blind=True)
        read(settings, case)
    correct(settings, *(a_correction(10 + n, subject=case.subject) for n, case in blind.items()))

    found = read_corrections(settings)

    assert [one.pseudonym for one in found.train] == ["bt-11"]  # the ledger knew person 1 before
    assert {open_ledger(settings).find(blind[n].subject) for n in range(2, 7)} == {Split.AUDIT}
    assert found.left_out == {
        "of a case that was read blind, which judges the model": 6,
        "of a subject that belongs to the split audit": 5,
    }
