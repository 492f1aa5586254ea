"""Label maps from the shipped atlas: whole heads with every healthy structure, another one for every subject."""

import numpy as np

from models.label_maps import to_classes
from pipelines.atlas_label_maps import atlas_label_maps
from triage.anatomy import LESION


def test_label_maps_of_the_atlas_have_every_healthy_structure_about_as_large_as_a_brains_and_layers_around_it():
    one, two = atlas_label_maps(2)

    for label_map in (one, two):
        classes, counts = np.unique(to_classes(label_map.labels), return_counts=True)
        assert classes.tolist() == list(range(LESION))
        assert 1.2e6 < counts[2:].sum() < 2.2e6  # mm3; MNI152 brains are larger than life
        assert 0.6 < counts[3] / counts[2] < 1.2
        assert {515, 516} <= set(np.unique(label_map.labels).tolist())
    left, right = (int(np.isin(one.labels, ids).sum()) for ids in ((2, 3), (41, 42)))
    assert abs(left / right - 1) < 0.05
    assert one.subject != two.subject
    assert (one.labels != two.labels).mean() > 0.05
