"""Faults that are put into scans one at a time, and what a flag should say then."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from scipy.spatial.transform import Rotation

from pipelines.bench.page import Inputs
from pipelines.bench.stress import NO_BRAIN, STEPS, never
from pipelines.bench.stress_rows import Probe, Row, open_probe, scans_of
from pipelines.labelled import kept_copy
from pipelines.mixture import with_lesion
from pipelines.scans import Scan
from pipelines.stress import CLEAN, SEED, Step, Subject, damaged
from triage.case import Volume
from triage.gate.wording import Action
from triage.prediction import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What may rightly be named first, and be suggested. signals: of the gate, or rules outside its score."""

    signals: frozenset[str]
    actions: frozenset[Action]


def _expected(signals: str, *actions: Action) -> Expected:
    return Expected(signals=frozenset(signals.split()), actions=frozenset(actions))


UNCLEAR = "boundary_entropy interior_entropy input_quality not_assessable"
FAULTS: Mapping[str, Expected] = {
    "noise": _expected(UNCLEAR, Action.RESCAN),
    "motion": _expected(UNCLEAR, Action.RESCAN),
    "ghosting": _expected(UNCLEAR, Action.RESCAN),
    "bias_field": _expected(UNCLEAR, Action.RESCAN),
    "thick_slices": _expected("input_quality not_assessable", Action.RESCAN, Action.OTHER_SERIES),
    "cropping": _expected("input_quality not_assessable", Action.RESCAN),
    "missing_slices": _expected("input_quality prior_conflict not_assessable", Action.RESCAN),
    "contrast_inversion": _expected("feature_density interior_entropy contrast", Action.OTHER_SERIES),
    "rotation": _expected("prior_conflict input_quality", Action.CHECK_REGISTRATION, Action.RESCAN),
    "left_right_flip": _expected("prior_conflict", Action.CHECK_REGISTRATION),
    "upside_down": _expected("prior_conflict", Action.CHECK_REGISTRATION),
    "failed_registration": _expected("prior_conflict", Action.CHECK_REGISTRATION),
    "voids": _expected("focal_conflict worst_patch", Action.EDIT_SLICES, Action.SECOND_READER),
    "lesion": _expected("focal_conflict worst_patch finding_entropy", Action.EDIT_SLICES, Action.SECOND_READER),
    NO_BRAIN: _expected("prior_conflict feature_density no_brain", Action.CHECK_REGISTRATION, Action.OTHER_SERIES),
}
GLOBAL = ("upside_down", "failed_registration")
FOCAL = ("lesion", "voids")
RADIUS_MM = (7.0, 11.0, 16.0)
"""Of lesions, painted into the scan with manual labels."""
WRONG_POSES: Mapping[str, Sequence[float]] = {"15 mm off": (0, 15, 0), "30 mm off": (0, 30, 0), "40 degrees off": (40,)}
"""A shift along the head, or a turn about its left-right axis."""


def measured(inputs: Inputs) -> list[Row]:
    """A row a fault; those of the stress page are taken from its cache."""
    probe, scans = open_probe(inputs), scans_of(inputs)
    rows: list[Row] = []
    for scan, subject in scans:
        rows += [{"fault": step[0]} | _of_kind(probe, scan, subject, step) for step in STEPS]
        rows += [{"fault": fault} | row for fault, row in _others(probe, scan, subject)]
    return rows + [{"fault": NO_BRAIN} | row for row in never(probe, inputs, scans[0][1].case)]


def _of_kind(probe: Probe, scan: Scan, subject: Subject, step: Step) -> Row:
    """Voids lie on slices that are known, as lesions do."""
    row = probe.of_scan(scan, subject, step)
    if step[0] != "voids":
        return row
    void = (damaged(subject.volume, step).array == 0) & (subject.volume.array > 0)
    return row | {"slices": slices_of(void)}


def slices_of(mask: np.ndarray) -> list[int]:
    """First and last slice of a mask, its third axis, from 1."""
    on = np.flatnonzero(mask.any(axis=(0, 1)))
    return [int(on[0]) + 1, int(on[-1]) + 1]


def _others(probe: Probe, scan: Scan, subject: Subject) -> Iterator[tuple[str, Row]]:
    axis = int(np.abs(subject.volume.affine[2, :3]).argmax())
    flipped = np.ascontiguousarray(np.flip(subject.volume.array, axis))
    upside_down = Volume(array=flipped, affine=subject.volume.affine)
    yield "upside_down", probe.row(subject, ("upside_down", 0), partial(probe.engine.predict, upside_down, seed=SEED))
    right = cache(lambda: probe.predict(scan, subject, (CLEAN, 0)))
    for n, wrong in enumerate(WRONG_POSES.values(), start=1):
        predict = partial(misregistered, probe, scan, subject, wrong_pose(wrong), right)
        yield "failed_registration", probe.row(subject, ("failed_registration", n), predict)
    for n, radius in enumerate(RADIUS_MM if scan.manual else (), start=1):
        painted = with_lesion(subject.volume, subject.classes, radius, np.random.default_rng(n))
        row = probe.row(subject, ("lesion", n), partial(probe.engine.predict, painted.volume, seed=SEED))
        assert painted.lesion is not None
        yield "lesion", row | {"slices": slices_of(painted.lesion)}


def wrong_pose(off: Sequence[float]) -> np.ndarray:
    """(4, 4): a shift in MNI millimetres, or a turn in degrees."""
    wrong = np.eye(4)
    if len(off) == 1:
        wrong[:3, :3] = Rotation.from_euler("x", off[0], degrees=True).as_matrix()
    else:
        wrong[:3, 3] = off
    return wrong


def misregistered(
    probe: Probe, scan: Scan, subject: Subject, wrong: np.ndarray, right: Callable[[], Prediction]
) -> Prediction:
    """The scan with anatomy compared at a wrong pose; the segmentation stays that of the right one."""
    engine, volume = probe.engine, subject.volume
    one = kept_copy(scan, "", lambda: volume, engine.runner, probe.features)
    pose, coarse, affine = engine.locate(one.features, one.conformed)
    moved = replace(pose, affine=wrong @ pose.affine)
    i, j, k = one.features.shape[1:]
    anatomy = engine.anatomy(coarse, affine, moved, (i, j, k), one.conformed)
    return replace(
        right(),
        conflict=anatomy.conflict,
        atlas_log_bayes_factor=anatomy.log_bayes_factor,
        mni_affine=moved.affine,
    )
