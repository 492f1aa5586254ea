"""FreeSurfer's ids onto our classes, and label maps read from npz and NIfTI."""

import re

import nibabel as nib
import numpy as np
import pytest

from models.label_maps import CLASS_OF, LabelMap, read_label_maps, to_classes
from models.synthesis import GROUP_OF

FREESURFER = {
    2: "Left-Cerebral-White-Matter", 3: "Left-Cerebral-Cortex", 4: "Left-Lateral-Ventricle", 5: "Left-Inf-Lat-Vent",
    7: "Left-Cerebellum-White-Matter", 8: "Left-Cerebellum-Cortex", 10: "Left-Thalamus", 11: "Left-Caudate",
    12: "Left-Putamen", 13: "Left-Pallidum", 14: "3rd-Ventricle", 15: "4th-Ventricle", 16: "Brain-Stem",
    17: "Left-Hippocampus", 18: "Left-Amygdala", 24: "CSF", 25: "Left-Lesion", 26: "Left-Accumbens-area",
    28: "Left-VentralDC", 30: "Left-vessel", 41: "Right-Cerebral-White-Matter", 42: "Right-Cerebral-Cortex",
    43: "Right-Lateral-Ventricle", 44: "Right-Inf-Lat-Vent", 46: "Right-Cerebellum-White-Matter",
    47: "Right-Cerebellum-Cortex", 49: "Right-Thalamus", 50: "Right-Caudate", 51: "Right-Putamen",
    52: "Right-Pallidum", 53: "Right-Hippocampus", 54: "Right-Amygdala", 57: "Right-Lesion",
    58: "Right-Accumbens-area", 60: "Right-VentralDC", 62: "Right-vessel", 72: "5th-Ventricle", 85: "Optic-Chiasm",
    31: "Left-choroid-plexus", 63: "Right-choroid-plexus", 77: "WM-hypointensities", 251: "CC_Posterior",
    252: "CC_Mid_Posterior", 253: "CC_Central", 254: "CC_Mid_Anterior", 255: "CC_Anterior",
}  # fmt: skip
"""Ids and names of FreeSurferColorLUT.txt."""
CLASS_BY_NAME = {
    r"^CSF|Optic": 1, r"Cerebral-Cortex": 2, r"Cerebral-White|vessel|^CC_": 3,
    r"Thalamus|Caudate|Putamen|Pallidum|Accumbens": 4, r"Hippocampus|Amygdala": 5,
    r"Lateral-Ventricle|Inf-Lat|choroid": 6, r"(3rd|4th|5th)-Ventricle": 7, r"Cerebellum-Cortex": 8,
    r"Cerebellum-White": 9, r"Brain-Stem|VentralDC": 10, r"Lesion|hypointensities": 11,
}  # fmt: skip


@pytest.mark.parametrize(("source", "name"), FREESURFER.items())
def test_a_structure_of_freesurfer_has_the_class_that_its_name_says(source, name):
    (expected,) = (label for pattern, label in CLASS_BY_NAME.items() if re.search(pattern, name))

    assert CLASS_OF[source] == expected


def test_the_table_names_no_other_structure():
    assert set(CLASS_OF) == set(FREESURFER) | {136, 137, 163, 164}


@pytest.mark.parametrize("table", [CLASS_OF, GROUP_OF], ids=["class", "contrast"])
def test_synthsegs_ids_within_the_lateral_ventricles_are_choroid_plexus(table):
    assert {table[source] for source in (136, 137, 163, 164)} == {table[31]}


@pytest.mark.parametrize("table", [CLASS_OF, GROUP_OF], ids=["class", "contrast"])
def test_left_and_right_of_a_structure_share_their_row(table):
    right = {name.removeprefix("Right-"): source for source, name in FREESURFER.items() if name.startswith("Right-")}
    pairs = [(source, right[name[5:]]) for source, name in FREESURFER.items() if name.startswith("Left-")]

    assert len(pairs) == 17
    assert all(table[a] == table[b] for a, b in pairs)


def test_skull_scalp_and_ids_unknown_to_us_are_background():
    assert to_classes(np.array([0, 1, 165, 258, 502, 530, 3], np.int16)).tolist() == [0, 0, 0, 0, 0, 0, 2]


def test_a_map_that_stops_at_a_low_id_is_mapped_too():
    assert to_classes(np.array([2, 0], np.int16)).tolist() == [3, 0]


def test_an_npz_gives_one_subject_an_array_in_order_of_name_with_the_head_in_the_middle(tmp_path):
    maps = {name: np.full((4, 6, 8), i, np.int16) for name, i in (("b", 3), ("a", 2))}
    np.savez(tmp_path / "maps.npz", **maps, ids=np.arange(3))

    first, second = read_label_maps(tmp_path / "maps.npz")

    assert (first.subject, second.subject) == ("a", "b")
    np.testing.assert_array_equal(second.labels, maps["b"])
    np.testing.assert_array_equal(first.affine[:3, 3], [-2, -3, -4])


def test_an_npz_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "maps.npz", a=np.array([[[{"code": "anything"}]]], dtype=object))

    with pytest.raises(ValueError, match="allow_pickle=False"):
        list(read_label_maps(tmp_path / "maps.npz"))


def test_a_folder_gives_one_subject_a_nifti_turned_to_ras(tmp_path):
    labels = np.zeros((5, 6, 7), np.int16)
    labels[1, 2, 3] = 17
    lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    lps[:3, 3] = [10, 20, 30]
    nib.save(nib.Nifti1Image(labels, lps), tmp_path / "subject-7.nii.gz")

    (label_map,) = read_label_maps(tmp_path)

    index = np.argwhere(label_map.labels == 17)[0]
    assert label_map.subject == "subject-7"
    assert nib.aff2axcodes(label_map.affine) == ("R", "A", "S")
    np.testing.assert_allclose(label_map.affine @ [*index, 1], lps @ [1, 2, 3, 1])


def test_the_classes_of_a_label_map_are_those_of_its_ids():
    label_map = LabelMap(subject="a", labels=np.array([[[3, 25, 999]]], np.int16), affine=np.eye(4))

    assert label_map.classes.tolist() == [[[2, 11, 0]]]
