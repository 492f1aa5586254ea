"""What a training leaves behind: a folder of plain files, readable without any of our dependencies.

run.json (what was trained, on what, with what), metrics.jsonl (one line a report), samples/*.png,
checkpoint.safetensors, network.safetensors. `brain-triage track import` brings it into MLflow, which the training
machine need not have.
"""

import hashlib
import json
import platform
import struct
import uuid
import zlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triage import __version__
from triage.anatomy import STRUCTURES
from triage.errors import TriageError

if TYPE_CHECKING:
    from models.label_maps import LabelMap
    from models.synthesis import LesionShape

RUN, METRICS, SAMPLES, WEIGHTS = "run.json", "metrics.jsonl", "samples", "network.safetensors"
CHECKPOINT = "checkpoint.safetensors"
COLOURS = np.array([(0, 0, 0), *(s.rgb for s in STRUCTURES)], np.uint8)


def open_folder(folder: Path, parameters: Mapping[str, Any], datasets: Mapping[str, Any]) -> None:
    """Start the record, or check that the folder's own is of the same training."""
    told = {"parameters": dict(parameters), "datasets": dict(datasets)}
    if (folder / RUN).is_file():
        kept = read_run(folder)
        differing = [key for key in told if kept[key] != json.loads(json.dumps(told[key]))]
        if differing:
            raise TriageError(
                f"{folder} holds a training with other {' and '.join(differing)}.",
                do="Name another --out, or give the parameters in its run.json.",
            )
        return
    (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
    software = {"brain-triage": __version__, "torch": version("torch"), "python": platform.python_version()}
    content = {"id": uuid.uuid4().hex, **told, "software": software}
    unfinished = folder / f".{RUN}.unfinished"
    unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / RUN)


def read_run(folder: Path) -> dict[str, Any]:
    """What run.json says."""
    try:
        content: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TriageError(
            f"{folder} holds no training ({type(error).__name__} at {RUN}).", do="Name the --out folder of a training."
        ) from None
    return content


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Every report, in order. A last line that a kill cut short is left out."""
    file = folder / METRICS
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def forget_after(folder: Path, iteration: int) -> float:
    """Drop reports of iterations that the checkpoint does not hold, which will be done again; seconds spent so far."""
    kept = [row for row in read_metrics(folder) if row["iteration"] <= iteration]
    (folder / METRICS).write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return kept[-1]["seconds"] if kept else 0.0


def report(folder: Path, row: Mapping[str, float]) -> None:
    """Add one line."""
    with (folder / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def picture_name(row: Mapping[str, float]) -> str:
    """Of the page that belongs to a report."""
    return f"{int(row['iteration']):07}.png"


def digest_of_maps(maps: Iterable["LabelMap"]) -> str:
    """SHA-256 of subjects and labels, the same from whatever file format they came."""
    out = hashlib.sha256()
    for m in maps:
        out.update(f"{m.subject} {m.labels.shape}".encode())
        out.update(m.labels.tobytes())
    return out.hexdigest()


def digest_of_shapes(shapes: Iterable["LesionShape"]) -> str:
    """SHA-256 of kinds, places and masks."""
    out = hashlib.sha256()
    for shape in shapes:
        out.update(f"{shape.kind} {tuple(shape.mask.shape)} {shape.affine.tolist()}".encode())
        out.update(np.packbits(shape.mask.numpy()).tobytes())
    return out.hexdigest()


def picture(image: NDArray[np.float32], *classes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Middle axial slice, nose up: the image and, beside it, every map of classes. (H, W, 3)."""
    middle = image.shape[2] // 2
    grey = (np.clip(image[:, :, middle], 0, 1) * 255).astype(np.uint8)
    tiles = [np.repeat(grey[..., None], 3, axis=2), *(COLOURS[c[:, :, middle]] for c in classes)]
    return np.concatenate([np.rot90(tile) for tile in tiles], axis=1)


def write_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    """(H, W, 3) as PNG. Source: W3C PNG specification, third edition, sections 5 and 11."""
    height, width, _ = rgb.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rgb.reshape(height, -1)], axis=1)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
