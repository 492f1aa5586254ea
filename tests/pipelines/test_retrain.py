"""From corrections to a bundle: what teaches, what is held, what a kill leaves, and what the ledger forbids."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from models.bundle import METADATA, NETWORK, POSTERIOR, load_bundle, read_network, seal, write_metadata, write_tensors
from models.cells import Cells, write_cells
from models.parallel import one_thread_an_operation
from pipelines import retrain_replay
from pipelines.bundles import digest_of
from pipelines.folders import PARTIAL
from pipelines.labelled import trunk_digest
from pipelines.promises import read_promises
from pipelines.retrain import plan_job, retrain
from pipelines.retrain_cells import corrected_cells, near
from pipelines.retrain_corrections import load_corrected, open_ledger, read_corrections
from pipelines.retrain_job import STAGES, Job, Options, read_stages
from pipelines.retrain_plot import PLOT
from pipelines.retrain_stages import card, move_head
from pipelines.run import find_cases
from pipelines.settings import SHIPPED_BUNDLE, Settings
from pipelines.tracking_registry import named_bundle, open_registry
from pipelines.tracking_retrain import follow_retraining
from pipelines.tracking_store import training_store
from tests.dicom_builders import enhanced
from tests.killed import KILLS, killed_at_random
from tests.pipelines.corrected_cases import a_correction, correct
from triage.anatomy import N_CLASSES
from triage.errors import TriageError
from triage.gate.operating_point import FILE, read_operating_point
from triage.ledger import Split
from triage.report.as_nifti import IMAGE


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with the posterior that is fitted fastest."""
    folder = tmp_path_factory.mktemp("live") / "bundle"
    shutil.copytree(SHIPPED_BUNDLE, folder)
    about = json.loads((folder / METADATA).read_text())
    about["brain_triage"]["posterior"] = "point"
    write_metadata(folder / METADATA, about)
    write_tensors(folder / POSTERIOR, {"mean": read_network(folder, N_CLASSES).linear_head}, half=True)
    seal(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def small_replay(tmp_path_factory: pytest.TempPathFactory, live: Path) -> Iterator[None]:
    """A few synthetic cells that the live head explains by itself, in place of those that came along."""
    net, generator = read_network(live, N_CLASSES), torch.Generator().manual_seed(0)
    images = []
    for subject in "ab":
        features = torch.cat([torch.rand(32, 150, generator=generator), torch.ones(1, 150)])
        logits = (net.linear_head @ features).view(N_CLASSES, 8, -1)
        images.append(
            Cells(subject=subject, features=features, classes=logits.argmax(0), weight=torch.full((150,), 100.0))
        )
    folder = tmp_path_factory.mktemp("replay")
    write_cells(folder / f"{trunk_digest(net.trunk)}.safetensors", images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrain_replay, "REPLAY", folder)
        yield


def features_of(image: torch.Tensor) -> torch.Tensor:
    """A trunk in milliseconds: how near each of a cell's voxels is to four intensities. (X, Y, Z) to (32, X/2, ...)."""
    i, j, k = (n // 2 for n in image.shape)
    voxels = image.view(i, 2, j, 2, k, 2).permute(1, 3, 5, 0, 2, 4).reshape(8, i, j, k)
    return torch.cat([torch.exp(-(((voxels - centre) / 0.15) ** 2)) for centre in (0.1, 0.4, 0.7, 1.0)])


def planned(settings: Settings, **changes: Any) -> Job:
    job = replace(plan_job(settings, Options(weight=1e4)), **changes)
    job.__dict__["runner"] = features_of  # in place of the one that it would make
    return job


@pytest.fixture
def settings(tmp_path: Path, live: Path) -> Settings:
    return Settings(out=tmp_path / "out", state=tmp_path / "state", bundle=live)


def ledger_says(settings: Settings, **splits: Split) -> None:
    for subject, split in splits.items():
        open_ledger(settings).freeze([subject.replace("_", " ")], split)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, live: Path) -> tuple[Settings, Job, Path]:
    """Two corrections that taught, one that was only looked at, and the bundle that came of it."""
    folder = tmp_path_factory.mktemp("retrained")
    settings = Settings(out=folder / "out", state=folder / "state", bundle=live)
    correct(settings, *(a_correction(number) for number in (1, 2, 3)))
    ledger_says(settings, person_1=Split.TRAIN, person_2=Split.TRAIN, person_3=Split.TUNE)
    job = planned(settings)
    retrain(job, folder / "new")
    return settings, job, folder / "new"


def test_only_subjects_that_the_ledger_lets_train_do(settings: Settings) -> None:
    splits = (Split.TRAIN, Split.TUNE, Split.CALIBRATE, Split.TEST, Split.AUDIT)
    correct(settings, *(a_correction(number) for number in range(5)), a_correction(5, subject=""))
    for number, split in enumerate(splits):
        open_ledger(settings).freeze([f"person {number}"], split)

    found = read_corrections(settings)

    assert [one.subject for one in found.train] == ["person 0"]
    assert [one.subject for one in found.tune] == ["person 1"]
    assert found.left_out == {
        "of a subject that nobody knows": 1,
        "of a subject that belongs to the split calibrate": 1,
        "of a subject that belongs to the split test": 1,
        "of a subject that belongs to the split audit": 1,
    }


def test_a_subject_of_the_test_table_does_not_train_when_it_arrives_as_a_patient(
    settings: Settings, tmp_path: Path
) -> None:
    patients = [f"Patient {number}" for number in range(6)]
    open_ledger(settings).freeze(patients, Split.TEST)
    for patient in patients:
        enhanced(tmp_path / "inbox" / patient, PatientID=f" {patient.upper()} ")
    arrived = find_cases(tmp_path / "inbox", settings).cases
    correct(settings, *(a_correction(number, subject=case.subject) for number, case in enumerate(arrived)))

    found = read_corrections(settings)

    assert not found.train
    assert found.left_out == {"of a subject that belongs to the split test": len(patients)}


def test_a_new_subject_is_allotted_a_split_and_keeps_it(settings: Settings) -> None:
    correct(settings, a_correction(1))

    first, second = read_corrections(settings), read_corrections(settings)

    assert first == second
    assert open_ledger(settings).find("person 1") is not None


def test_a_correction_whose_image_was_changed_is_left_out(settings: Settings) -> None:
    correct(settings, a_correction(1))
    image = settings.out / "bt-01" / IMAGE
    image.write_bytes(image.read_bytes() + b"\0")

    found = read_corrections(settings)

    assert not found.train
    assert found.left_out == {"whose image and segmentation are not in the output folder as they were read": 1}


def test_without_a_correction_that_may_train_it_says_what_there_is(settings: Settings) -> None:
    correct(settings, a_correction(1))
    ledger_says(settings, person_1=Split.CALIBRATE)

    with pytest.raises(TriageError, match=r"no correction to train on.*1 of a subject that belongs to the split calib"):
        plan_job(settings, Options())


def test_what_lies_within_two_cells_of_a_change_was_judged() -> None:
    changed = np.zeros((16, 16, 16), bool)
    changed[7, 8, 9] = True

    judged = near(changed).view(8, 8, 8)

    steps = sum(np.abs(index - at) for index, at in zip(np.indices((8, 8, 8)), (3, 4, 4), strict=True))
    np.testing.assert_array_equal(judged.numpy(), steps <= 2)


def test_the_parts_of_a_corrected_scan_stand_for_all_of_it(done: tuple[Settings, Job, Path]) -> None:
    _, job, _ = done
    every = load_corrected(job.corrections.train[0], features_of).features[0].numel()

    scan = corrected_cells(job.corrections.train[0], job.net, job.runner, job.state, 0)

    assert float(scan.judged.weight.sum() + scan.rest.weight.sum()) == pytest.approx(every, rel=0.15)
    assert scan.judged.subject == "person 1"


def test_it_comes_closer_to_what_reviewers_drew_also_where_it_only_looked(done: tuple[Settings, Job, Path]) -> None:
    _, job, _ = done
    rows = json.loads((job.folder / "dice.json").read_text())

    def white(split: str, when: str) -> float:
        return float(np.mean([r["dice"]["cerebral_white"] for r in rows if (r["split"], r["when"]) == (split, when)]))

    assert white("train", "after") > white("train", "before")
    assert white("tune", "after") > white("tune", "before")
    assert {row["case"] for row in rows if row["split"] == "tune"} == {"bt-03"}


def test_a_fine_tuned_network_is_compared_with_the_live_one_as_each_sees_the_scans(
    done: tuple[Settings, Job, Path], tmp_path: Path
) -> None:
    """The same weights twice, so nothing may differ."""
    _, job, _ = done
    tuned = replace(job, options=replace(job.options, full=1), state=tmp_path)
    tuned.__dict__.update(runner=features_of, live_runner=features_of)
    (tuned.folder / NETWORK).parent.mkdir(parents=True)
    shutil.copyfile(tuned.live / NETWORK, tuned.folder / NETWORK)
    before = read_stages(job.folder)["head"]["metrics"]

    found = move_head(tuned)

    for split in ("train", "tune"):
        assert found[f"dice.{split}.after"] == found[f"dice.{split}.before"] == before[f"dice.{split}.before"]
    assert (tuned.folder / PLOT).is_file()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"weight": 0.0}, "above 0"), ({"weight": -1.0}, "above 0"), ({"weight": math.nan}, "above 0")]
    + [({"shape": shape}, "multiples of 32") for shape in ((160, 192, 150), (0, 32, 32), (-32, 32, 32))],
)
def test_options_that_nothing_could_be_learnt_with_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(TriageError) as caught:
        Options(**wrong)

    assert words in caught.value.do


def test_the_bundle_knows_where_it_comes_from_and_accepts_nothing_before_it_is_calibrated(
    done: tuple[Settings, Job, Path],
) -> None:
    _, job, new = done

    about, point = json.loads((new / METADATA).read_text()), read_operating_point(new / FILE)

    assert about["brain_triage"]["retrained"]["from"] == job.live_digest
    assert about["brain_triage"]["retrained"]["corrections"] == sorted(one.key for one in job.corrections.train)
    assert load_bundle(new).version.split(".")[2] == "0"
    assert not point.accepts
    assert "every case goes to a human" in point.promise
    assert math.isnan(read_promises(new).risk)
    assert not read_promises(new).curve
    assert "The gate is closed until it is calibrated." in (new / "docs" / "README.md").read_text()
    assert "The gate was calibrated again." in card(replace(job, cases=new))


def test_a_retraining_that_was_killed_goes_on_and_ends_with_the_same_bits(
    done: tuple[Settings, Job, Path], tmp_path: Path
) -> None:
    settings, _, new = done
    job = planned(settings, state=tmp_path / "retraining")

    def kill(job: Job, _: Path | None) -> None:
        if (job.folder / "stages" / "head.json").is_file():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(job, tmp_path / "again", kill)
    found = retrain(job, tmp_path / "again")

    assert found.bundle.digest == load_bundle(new).digest


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bits_and_in_one_tracked_run(
    done: tuple[Settings, Job, Path], tmp_path: Path
) -> None:
    settings, _, new = done
    store = training_store(settings.changed({"state": tmp_path / "state"}))

    def again(folder: Path) -> None:
        retrain(planned(settings, state=folder / "retraining"), folder / "again", follow_retraining(store, pytest.fail))

    died, worlds = 0, 0
    with one_thread_an_operation():
        for worlds in count(1):
            place = tmp_path / f"world-{worlds}"
            died += killed_at_random(again, place, longest_s=4.0, kills=KILLS - died, seed=worlds)
            again(place)

            assert load_bundle(place / "again").digest == load_bundle(new).digest
            assert sorted(path.name for path in place.iterdir()) == ["again", "retraining"]
            if died == KILLS:
                break
    client = MlflowClient(store.uri)
    runs = [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len([run for run in runs if "mlflow.parentRunId" not in run.data.tags]) == worlds


def test_a_record_that_a_kill_left_unfinished_is_no_stage(done: tuple[Settings, Job, Path], tmp_path: Path) -> None:
    shutil.copytree(done[1].folder, tmp_path / "job")
    (tmp_path / "job" / STAGES / f"{PARTIAL}bundle.json").touch()

    assert read_stages(tmp_path / "job") == read_stages(done[1].folder)


@pytest.mark.slow
def test_as_an_mlflow_project_it_makes_the_same_bundle_and_promote_finds_its_run(
    done: tuple[Settings, Job, Path], tmp_path: Path, repository: Path
) -> None:
    """Its stages are done, so what is tried is the way through MLflow: parameters in, bundle and run out."""
    settings, job, new = done
    config = tmp_path / "site.yaml"
    config.write_text(f"bundle: {job.live}\n")
    given = {"out": settings.out, "to": tmp_path / "again", "weight": job.options.weight}
    passed_on = {"state": settings.state_folder, "config": config}
    parameters = [word for name, value in (given | passed_on).items() for word in ("-P", f"{name}={value}")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | {"PATH": path}

    subprocess.run(
        ["mlflow", "run", str(repository), "-e", "retrain", "--env-manager=local", *parameters],
        cwd=tmp_path,
        env=environment,
        check=True,
    )

    registry = open_registry(settings)
    assert registry is not None
    making = registry.making_of(tmp_path / "again")
    assert making is not None
    with named_bundle(making.run_id, settings) as found:
        assert digest_of(found) == digest_of(tmp_path / "again") == digest_of(new)


def test_what_was_learnt_is_no_reason_to_retrain(done: tuple[Settings, Job, Path]) -> None:
    settings, _, new = done

    with pytest.raises(TriageError, match="has not learnt"):
        plan_job(settings.changed({"bundle": new}), Options())


def test_a_bundle_in_the_way_is_never_overwritten(done: tuple[Settings, Job, Path]) -> None:
    with pytest.raises(TriageError, match="is another bundle"):
        retrain(done[1], SHIPPED_BUNDLE)
