"""The gate's score of clean and damaged scans beside their Dice: does the score know how good a segmentation is?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.doubt_cases import NO_BRAIN, Item, items
from pipelines.bench.page import Inputs, kept
from pipelines.compare import GRADED
from pipelines.engine import BundleEngine
from pipelines.evaluate import SEED, describe, dice_table
from pipelines.labelled import features_folder, kept_copy
from triage.errors import Refusal
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point

LEVELS = (0, 2, 4)
"""Levels of damage that are scored, 0 being the scan as it is."""


def measure_scores(inputs: Inputs, engine: BundleEngine) -> list[dict[str, Any]]:
    """A row a clean or damaged scan of the page of doubt; what preprocessing refuses is left out."""
    point = read_operating_point(inputs.bundle / FILE)
    folder = inputs.cache / "scores" / engine.bundle.digest[:12]
    features = features_folder(inputs.cache / "doubt", engine.model.trunk)
    judged = [item for item in items(inputs) if item.kind != NO_BRAIN and item.level in LEVELS]
    rows = [
        kept(
            folder / f"{'.'.join(map(str, item.name.values()))}.json",
            lambda item=item: _row(item, engine, point, features),  # type: ignore[misc]
        )
        for item in judged
    ]
    return [row for row in rows if row]


def _row(item: Item, engine: BundleEngine, point: OperatingPoint, features: Path) -> dict[str, Any]:
    volume = item.make()
    damage = f"{item.kind} {item.level}" if item.level else ""
    try:
        one = kept_copy(item.scan, damage, lambda: volume, engine.runner, features)
    except Refusal:
        return {}
    assert one.classes is not None
    prediction = engine.infer(one.features, one.conformed, volume, seed=SEED)
    signals = describe(prediction, point.usual_entropy)["signals"]
    table = dice_table(prediction.labels, one.classes)
    parts = {name: point.limits[name].part(value) for name, value in signals.items()}
    return item.name | {"score": sum(parts.values()), "parts": parts, "dice": mean_dice([table[key] for key in GRADED])}


def mean_dice(values: Sequence[float]) -> float:
    """Mean over structures; one that the field of view lost has none."""
    return float(np.nanmean(values))
