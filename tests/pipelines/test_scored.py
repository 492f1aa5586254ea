import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.bundle import SUMS, seal
from pipelines.mixture import Damage
from pipelines.scored import Item, Scored, Scorer, model_digest, usual_entropy
from pipelines.settings import SHIPPED_BUNDLE
from tests.pipelines.scored_cases import a_scan
from triage.gate.signals import FAR_MM


def test_another_weight_makes_another_model(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_BUNDLE, tmp_path / "own")
    (tmp_path / "own/models/extra").write_text("x")
    seal(tmp_path / "own")

    assert (tmp_path / "own" / SUMS).is_file()
    assert model_digest(tmp_path / "own") != model_digest(SHIPPED_BUNDLE)


def written(path: Path, text: str = "voxels") -> Path:
    path.write_text(text)
    return path


def test_a_case_that_was_scored_is_read_again_and_another_damage_is_another_case(tmp_path: Path, monkeypatch) -> None:
    scan = replace(a_scan(0, "test"), **{name: written(tmp_path / name) for name in ("t1", "labels", "lesions")})
    made: list[str] = []

    def row(_: Scorer, item: Item) -> dict[str, object]:
        made.append(item.damage.name)
        return {"refused": "COVERAGE"}

    monkeypatch.setattr(Scorer, "_row", row)
    scorer = Scorer(engine=None, model="m", usual_entropy=np.zeros(4), cache=tmp_path)  # type: ignore[arg-type]
    item = Item(scan=scan)
    damaged = replace(item, damage=Damage(kind="noise", level=2, seed=1))

    list(scorer([item, item, damaged, item]))

    assert made == ["", damaged.damage.name]
    list(replace(scorer, model="another")([item]))
    assert len(made) == 3
    for number, path in enumerate((scan.t1, scan.labels, scan.lesions), start=4):
        written(path, "changed")
        list(scorer([item]))
        assert len(made) == number


def test_the_usual_entropy_is_the_mean_of_good_scans(calibration_cases: dict[str, list[Scored]]) -> None:
    assert usual_entropy(calibration_cases["clean"]).tolist() == [0.5] * (FAR_MM + 1)
