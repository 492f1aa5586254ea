"""Training from label maps to weights: repeatable, resumable after a kill, and possible on a bare machine."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from models.label_maps import LabelMap
from models.network import SegmentationNet
from pipelines import training_folder as files
from pipelines.examples import Examples, Options, divided
from pipelines.train import main, train
from triage.anatomy import LESION, N_CLASSES, STRUCTURES
from triage.errors import TriageError

TINY = Options(iterations=5, every=2, widths=(2, 2, 2, 2, 2), shape=(64, 64, 64), held_out=1, checks=1)
SIDE = 40
GREY, WHITE = 2, 3
ARGUMENTS = ["--iterations", "5", "--every", "2", "--widths", *"22222", "--shape", *["64"] * 3]
ARGUMENTS += ["--held-out", "1", "--checks", "1", "--device", "cpu"]


def maps(n: int = 3) -> list[LabelMap]:
    """Shells of skull, CSF, cortex and white matter with ventricles in it, the halves under their own ids."""
    x, y, z = np.meshgrid(*[np.arange(SIDE) - (SIDE - 1) / 2] * 3, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    out = []
    for i in range(n):
        shells = [radius < r + i for r in (3, 10, 14, 16, 18)]
        left, right = (np.select(shells, ids, 0) for ids in ((4, 2, 3, 24, 515), (43, 41, 42, 24, 515)))
        labels = np.where(x < 0, left, right).astype(np.int16)
        out.append(LabelMap(subject=f"s{i}", labels=labels, affine=np.eye(4)))
    return out


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "maps.npz"
    np.savez(path, **{m.subject: m.labels for m in maps()})
    return path


@pytest.fixture(scope="module")
def whole(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing interrupted."""
    return main([*ARGUMENTS, "--label-maps", str(archive), "--out", str(tmp_path_factory.mktemp("whole"))])


def without_time(folder: Path) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in files.read_metrics(folder)]


BARE = """
import os, signal, sys
for name in {blocked}:
    sys.modules[name] = None
import pipelines.train
real, calls = pipelines.train.step, []
def step(*arguments):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
pipelines.train.step = step
pipelines.train.main(sys.argv[1:])
"""
BLOCKED = [
    "mlflow", "nilearn", "pydantic", "yaml", "typer", "rich", "structlog", "PIL", "pydicom", "highdicom", "sqlalchemy",
    "openvino", "jinja2", "SimpleITK", "pylibjpeg",
]  # fmt: skip


def test_a_training_killed_on_a_bare_machine_and_resumed_has_the_weights_and_reports_of_the_uninterrupted_one(
    archive: Path, whole: Path, tmp_path: Path
):
    """The kill is a real one, in the fourth iteration, two after the checkpoint, where only six packages are there."""
    arguments = [*ARGUMENTS, "--label-maps", str(archive), "--out", str(tmp_path)]
    script = BARE.format(blocked=BLOCKED)
    died = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    assert [row["iteration"] for row in files.read_metrics(tmp_path)] == [2]
    assert (files.read_run(tmp_path)["datasets"]) == files.read_run(whole)["datasets"]

    main(arguments)

    for name in (files.WEIGHTS, "checkpoint.safetensors"):
        one, other = load_file(tmp_path / name), load_file(whole / name)
        assert all(torch.equal(value, other[key]) for key, value in one.items())
    assert without_time(tmp_path) == without_time(whole)


def test_a_finished_training_is_left_as_it_is(archive: Path, whole: Path):
    before = (whole / files.WEIGHTS).stat().st_mtime_ns, (whole / files.METRICS).read_text()

    main([*ARGUMENTS, "--label-maps", str(archive), "--out", str(whole)])

    assert ((whole / files.WEIGHTS).stat().st_mtime_ns, (whole / files.METRICS).read_text()) == before


def test_the_weights_load_into_the_network_in_half_precision(whole: Path):
    weights = load_file(whole / files.WEIGHTS)
    SegmentationNet(N_CLASSES, TINY.widths).load_state_dict({k: v.float() for k, v in weights.items()})

    assert {value.dtype for value in weights.values()} == {torch.float16}


def test_every_report_has_loss_time_and_the_dice_of_what_the_checks_show(whole: Path):
    rows = files.read_metrics(whole)

    assert [row["iteration"] for row in rows] == [2, 4, 5]
    assert {"loss", "seconds", "dice.cerebral_white", "dice.lateral_ventricles"} <= set(rows[0])
    assert "dice.hippocampus_amygdala" not in rows[0]
    assert all(0 <= v <= 1 for row in rows for k, v in row.items() if k.startswith("dice."))


def test_every_report_has_a_page_of_image_labels_and_prediction(whole: Path):
    with Image.open(whole / files.SAMPLES / "0000005.png") as page:
        rgb = np.asarray(page)

    assert rgb.shape == (64, 3 * 64, 3)
    assert (rgb[:, :64] == rgb[:, :64, :1]).all()
    shown = {tuple(colour) for colour in rgb[:, 64:128].reshape(-1, 3).tolist()}
    assert shown <= {(0, 0, 0), *(s.rgb for s in STRUCTURES)}
    assert STRUCTURES[2].rgb in shown


def test_a_folder_of_another_training_is_refused(archive: Path, whole: Path):
    with pytest.raises(TriageError, match=r"holds a training with other parameters.*Name another --out"):
        main([*ARGUMENTS, "--label-maps", str(archive), "--out", str(whole), "--seed", "1"])


def test_a_training_names_its_data_by_content_not_by_place(whole: Path, archive: Path):
    record = json.dumps(files.read_run(whole))

    assert str(archive.parent) not in record
    assert files.digest_of_maps(maps()[:2]) in record
    assert files.digest_of_maps(maps()[:2]) != files.digest_of_maps(maps()[1:])


def test_held_out_label_maps_are_never_learned_from():
    learned, checked = divided(maps(), replace(TINY, subjects=1))

    assert ([m.subject for m in learned], [m.subject for m in checked]) == (["s0"], ["s2"])


def test_too_few_label_maps_are_refused():
    with pytest.raises(TriageError, match="3 label maps, 1 held out, leave 2 to learn from"):
        divided(maps(), replace(TINY, subjects=3))


def test_an_iterations_images_depend_on_the_seed_and_its_number_alone():
    examples = Examples(options=TINY, maps=[torch.from_numpy(m.labels) for m in maps()], shapes=[])
    other = replace(examples, options=replace(TINY, seed=1))
    image, classes = examples.batch(7)

    assert image.shape == (1, 1, 64, 64, 64) and classes.shape == (1, 64, 64, 64)
    assert torch.equal(examples.batch(7)[0], image)
    assert not torch.equal(examples.batch(8)[0], image)
    assert not torch.equal(other.batch(7)[0], image)


def test_healthy_t1_images_have_no_lesion_and_white_matter_brighter_than_grey():
    options = replace(TINY, healthy_t1=True)
    examples = Examples(options=options, maps=[torch.from_numpy(m.labels) for m in maps()], shapes=[])

    for image, classes in map(examples.batch, range(3)):
        assert not (classes == LESION).any()
        assert image[0][classes == WHITE].mean() > image[0][classes == GREY].mean()


def test_weights_to_start_from_are_started_from(tmp_path: Path, whole: Path):
    weights = load_file(whole / files.WEIGHTS)
    still = replace(TINY, iterations=1, learning_rate=0.0)

    trained = train(still, maps(), [], tmp_path, weights=weights)

    assert all(torch.equal(trained.net.state_dict()[name], value.float()) for name, value in weights.items())
