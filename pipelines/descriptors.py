"""What a case is described by for its classification: volumes, lesions, symmetry and doubt, and pooled trunk features.

All are taken from every second cell of the feature grid, 4 mm apart, and the class probabilities there under the
posterior mean: as few as the pose is found on, and the same when the classifier is fitted and when it is used.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.density import pool
from triage.anatomy import BRAIN, LESION, STRUCTURES, TISSUES

CORTEX, WHITE, DEEP, VENTRICLES = 2, 3, 4, 6
STEP_MM = 4
CELL_ML = STEP_MM**3 / 1000
SMALL_ML = 0.5
"""Added to every volume before its logarithm: less is not told from nothing."""
NEAR_MM = 10
"""White-matter lesions within 10 mm of a ventricle are called periventricular. Source: DeCarli 2005, Stroke 36(1)."""
LESION_CORE = 0.5


def lesion_facts(probability: NDArray[np.float32]) -> dict[str, float]:
    """Log volume of the largest lesion, and the share of all lesion that lies near the lateral ventricles."""
    lesion = probability[LESION]
    labels, n = ndimage.label(lesion > LESION_CORE)
    largest = float(ndimage.sum_labels(lesion, labels, range(1, n + 1)).max()) * CELL_ML if n else 0.0
    near = _near_ventricles(probability)
    return {
        "largest_lesion": math.log(largest + SMALL_ML),
        "lesion_near_ventricles": float(lesion[near].sum()) * CELL_ML / (float(lesion.sum()) * CELL_ML + SMALL_ML),
    }


def grey_near_ventricles(probability: NDArray[np.float32]) -> dict[str, float]:
    """Log volume of what looks like cortex beside the lateral ventricles: white matter that is dark on T1."""
    near = _near_ventricles(probability)
    return {"cortex_near_ventricles": math.log(float(probability[CORTEX][near].sum()) * CELL_ML + SMALL_ML)}


def asymmetries(probability: NDArray[np.float32]) -> dict[str, float]:
    """|left - right| over both, in [0, 1], where disease may be one-sided; the sides meet at the centroid."""
    brain = probability[list(BRAIN)].sum(axis=(0, 2, 3))
    middle = float((brain * np.arange(len(brain))).sum() / brain.sum())
    # A cell that the midline cuts belongs to both sides, by its shares.
    right = np.clip(np.arange(len(brain)) + 0.5 - middle, 0, 1)
    out = {}
    for class_id in (CORTEX, WHITE, VENTRICLES, LESION):
        mass = probability[class_id].sum(axis=(1, 2)) * CELL_ML
        difference = float((mass * (2 * right - 1)).sum())
        out[f"{_key(class_id)}_asymmetry"] = abs(difference) / (float(mass.sum()) + SMALL_ML)
    return out


def volumes(probability: NDArray[np.float32]) -> dict[str, float]:
    """Log intracranial volume, and the log share that each class has of it."""
    ml = probability[1:].sum(axis=(1, 2, 3)) * CELL_ML
    head = float(ml.sum()) + SMALL_ML
    shares = {f"{s.key}_share": math.log((float(ml[s.id - 1]) + SMALL_ML) / head) for s in STRUCTURES}
    return {"intracranial": math.log(head), **shares}


def doubt(probability: NDArray[np.float32]) -> dict[str, float]:
    """Mean entropy of the brain's cells, nats."""
    inside = probability[list(BRAIN)].sum(axis=0)
    entropy = -(probability * np.log(np.maximum(probability, 1e-12))).sum(axis=0)
    return {"entropy": float((entropy * inside).sum() / inside.sum())}


Facts = Callable[[NDArray[np.float32]], Mapping[str, float]]
FACTS: tuple[Facts, ...] = (volumes, lesion_facts, grey_near_ventricles, asymmetries, doubt)


def facts(probability: Tensor) -> dict[str, float]:
    """Every named descriptor of anatomy. probability: (C, I, J, K) of cells STEP_MM apart, RAS+."""
    values = probability.numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: value for of in FACTS for name, value in of(values).items()}


def describe(features: Tensor, probability: Tensor) -> Tensor:
    """(D,) float32: the facts, then the mean trunk features of each tissue.

    features: (F, I, J, K), probability: (C, I, J, K), both of cells STEP_MM apart.
    """
    named = torch.tensor(list(facts(probability).values()))
    flat = features.reshape(len(features), -1)
    pooled = pool(flat, probability.reshape(len(probability), -1), list(TISSUES.values()))
    return torch.cat([named, pooled]).float()


def _near_ventricles(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells within NEAR_MM of the lateral ventricles and outside of them."""
    inside = probability[VENTRICLES] > 0.5
    if not inside.any():
        return np.zeros(inside.shape, bool)
    distance = ndimage.distance_transform_edt(~inside) * STEP_MM
    return np.asarray((distance > 0) & (distance <= NEAR_MM))


def _key(class_id: int) -> str:
    return STRUCTURES[class_id - 1].key
