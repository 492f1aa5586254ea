import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.dicom_builders import (
    FLAIR,
    PSEUDONYMS,
    T2,
    classic,
    edit,
    enhanced,
    inventory,
    only_case,
    only_refusal,
    phantom,
    texts_of,
)
from tests.triage.test_nifti import save
from triage.case import Format, Weighting
from triage.dicom.deid import Pseudonyms
from triage.errors import Code, TriageError
from triage.intake import take_inventory


def test_an_absent_folder_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(TriageError, match="Give an existing folder or file"):
        inventory(tmp_path / "nowhere")


def test_an_empty_folder_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(TriageError, match="Put DICOM or NIfTI files into it"):
        inventory(tmp_path)


def test_a_study_is_one_case_with_its_best_series_and_the_others_with_their_reasons(tmp_path):
    classic(tmp_path / "flair", **FLAIR)
    classic(tmp_path / "t1")
    classic(tmp_path / "t2", **T2)
    enhanced(tmp_path / "t1c", ContrastBolusAgentSequence=[], SeriesDescription="T1 +C")

    case = only_case(tmp_path)

    assert case.structural.weighting is Weighting.T1
    assert not case.structural.contrast_agent
    assert [other.weighting for other in case.others] == [Weighting.T1, Weighting.FLAIR, Weighting.T2]
    assert all("weighting" in other.why for other in case.others)


def test_without_a_t1_the_flair_is_chosen(tmp_path):
    classic(tmp_path / "flair", **FLAIR)
    classic(tmp_path / "t2", **T2)

    assert only_case(tmp_path).structural.weighting is Weighting.FLAIR


def test_a_series_of_unknown_weighting_is_still_a_case(tmp_path):
    classic(tmp_path, ScanningSequence="RM", EchoTime=None, SeriesDescription="DOE")

    assert only_case(tmp_path).structural.weighting is Weighting.UNKNOWN


def test_a_broken_t1_is_listed_with_its_code_beside_the_chosen_series(tmp_path):
    classic(tmp_path / "flair", **FLAIR)
    classic(tmp_path / "t1")[8].unlink()

    case = only_case(tmp_path)

    assert case.structural.weighting is Weighting.FLAIR
    assert [other.code for other in case.others] == [Code.MISSING_SLICE]


def test_a_study_without_a_readable_series_is_refused_for_its_most_promising_one(tmp_path):
    classic(tmp_path / "t1")[8].unlink()
    classic(tmp_path / "phase", ImageType=["ORIGINAL", "PRIMARY", "P"], SeriesNumber=3)

    refused = only_refusal(tmp_path)

    assert refused.code is Code.MISSING_SLICE
    assert [other.code for other in refused.others] == [Code.NOT_T1_VOLUME]


def test_one_enhanced_file_can_be_given_by_itself(tmp_path):
    assert only_case(enhanced(tmp_path)).structural.format is Format.ENHANCED


def test_one_nifti_file_can_be_given_by_itself(tmp_path):
    assert only_case(save(tmp_path / "a.nii.gz")).structural.format is Format.NIFTI


def test_dicom_and_nifti_in_one_folder_are_all_found(tmp_path):
    classic(tmp_path / "deep" / "er")
    save(tmp_path / "x_T1w.nii.gz")
    save(tmp_path / "deep" / "y.mgz", kind=nib.MGHImage)

    found = inventory(tmp_path)

    assert sorted(case.structural.format for case in found.cases) == ["dicom_classic", "nifti", "nifti"]


def test_the_same_nifti_file_twice_is_one_case(tmp_path):
    save(tmp_path / "a_T1w.nii.gz")
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a_T1w.nii.gz", tmp_path / "b")

    found = inventory(tmp_path)

    assert len(found.cases) == 1
    assert found.skipped == {"copies of the same file": 1}


def test_a_rerun_finds_the_same_and_another_key_gives_other_pseudonyms(tmp_path):
    classic(tmp_path)

    first, again = inventory(tmp_path), inventory(tmp_path)
    other = take_inventory(tmp_path, pseudonyms=Pseudonyms(key=bytes(32)))

    assert first == again
    assert other.cases[0].pseudonym != first.cases[0].pseudonym
    assert other.cases[0].content_sha256 == first.cases[0].content_sha256


def test_two_studies_of_one_patient_are_two_cases_of_one_subject(tmp_path):
    classic(tmp_path / "first", StudyInstanceUID="2.25.1", PatientID="doe 1")
    classic(tmp_path / "second", StudyInstanceUID="2.25.2", PatientID="DOE 1 ")
    classic(tmp_path / "other", StudyInstanceUID="2.25.3", PatientID="DOE 2")

    found = inventory(tmp_path)

    assert len({case.pseudonym for case in found.cases}) == 3
    assert len({case.subject for case in found.cases}) == 2


def test_a_case_whose_patient_is_not_told_has_no_subject(tmp_path):
    classic(tmp_path, PatientID="")

    assert only_case(tmp_path).subject == ""


def test_names_and_places_of_files_change_nothing(tmp_path):
    classic(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "moved" / "b")
    for number, path in enumerate(sorted((tmp_path / "moved" / "b").iterdir())):
        path.rename(path.with_name(f"{99 - number}"))

    before, after = only_case(tmp_path / "a"), only_case(tmp_path / "moved")

    assert (before.pseudonym, before.content_sha256) == (after.pseudonym, after.content_sha256)


def test_harmless_files_are_counted_by_kind_without_their_names(tmp_path):
    classic(tmp_path)
    (tmp_path / "Doe_John.txt").write_text("x")
    (tmp_path / "Doe_John.json").write_text(json.dumps({"PatientName": "Doe"}))
    (tmp_path / "README").write_text("read me")
    (tmp_path / "Doe_John.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "a.dcm.part").write_bytes(b"half")
    (tmp_path / ".DS_Store").write_bytes(b"\0\1")

    found = inventory(tmp_path)

    assert len(found.cases) == 1
    assert not found.refused
    assert found.skipped == {
        "PDF documents": 1,
        "pictures": 1,
        "tables and structured text": 1,
        "text files": 2,
        "unfinished copies": 1,
    }
    assert "Doe" not in texts_of(found)


def test_stray_files_make_one_entry_a_folder_and_code(tmp_path):
    for folder in ("Doe^John", "b"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            (tmp_path / folder / f"{number}.dcm").write_bytes(b"\0" * 50)
    (tmp_path / "b" / "link.dcm").symlink_to(tmp_path)

    found = inventory(tmp_path)

    assert sorted((refused.code, refused.n_files) for refused in found.refused) == [
        (Code.NOT_A_REGULAR_FILE, 1),
        (Code.NOT_DICOM, 5),
        (Code.NOT_DICOM, 5),
    ]
    assert "Doe" not in texts_of(found)


def test_an_error_of_ours_in_one_study_leaves_the_others_alone(tmp_path, monkeypatch):
    classic(tmp_path / "a", PatientID="A")
    classic(tmp_path / "b", PatientID="B")
    from triage.dicom import studies

    real = studies.grid_of
    calls = iter([ZeroDivisionError])
    monkeypatch.setattr(studies, "grid_of", lambda *a, **k: _raise(next(calls, None)) or real(*a, **k))

    found = inventory(tmp_path)

    assert len(found.cases) == 1
    assert [refused.code for refused in found.refused] == [Code.INTERNAL]


def _raise(error):
    if error:
        raise error


def bids(root: Path, *names: str) -> None:
    rng = np.random.default_rng(len(names))
    for name in names:
        save(root / name, np.rint(phantom().array + rng.integers(0, 3, (20, 22, 18))).astype(np.float32))


def test_a_bids_session_is_one_case_with_its_best_suffix(tmp_path):
    bids(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_T2w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_FLAIR.nii.gz",
        "sub-02/anat/sub-02_T2w.nii.gz",
    )

    found = inventory(tmp_path)

    assert sorted(case.structural.weighting for case in found.cases) == ["FLAIR", "T1", "T2"]
    (session_a,) = (case for case in found.cases if case.structural.weighting is Weighting.T1)
    assert [other.weighting for other in session_a.others] == [Weighting.FLAIR, Weighting.T2]


def test_other_files_of_a_bids_dataset_are_left_alone(tmp_path):
    bids(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/anat/sub-01_label-L_mask.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
    )
    (tmp_path / "dataset_description.json").write_text("{}")

    found = inventory(tmp_path)

    assert len(found.cases) == 1
    assert found.skipped == {
        "derived images of a BIDS dataset": 2,
        "label maps and masks": 1,
        "other images of a BIDS dataset": 1,
        "tables and structured text": 1,
    }


def test_a_bids_session_whose_only_image_is_broken_is_refused(tmp_path):
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    (tmp_path / "sub-01" / "anat" / "sub-01_T1w.nii.gz").write_bytes(b"\x1f\x8b" + bytes(30))

    assert only_refusal(tmp_path).code is Code.NIFTI_INVALID


def test_patient_and_study_of_a_series_never_reach_its_pseudonyms(tmp_path):
    paths = classic(tmp_path, PatientID="JOHN-DOE", StudyDescription="DOE")
    for path in paths:
        edit(path, AccessionNumber="DOE")

    case = only_case(tmp_path)

    assert case.pseudonym.startswith("bt-")
    assert case.pseudonym != PSEUDONYMS.of("JOHN-DOE")
    assert "doe" not in (case.pseudonym + case.structural.pseudonym + repr(case.others)).lower()
