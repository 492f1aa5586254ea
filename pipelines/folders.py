"""The output folder: a case's folder appears in it whole, in one rename, or not at all.

A case is written into `.partial-...`, sealed with a manifest, flushed to the disk, then renamed to its pseudonym. What
stands in the way (an older decision, files that somebody changed or added) moves to `superseded/`. Nothing is deleted
but the partial folders of runs that died, and an untouched folder of the same decision when it is made anew.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.outcome import Outcome
from triage.disk import file_sha256, flush
from triage.errors import Code, TriageError
from triage.verdict import Route

MANIFEST = "manifest.json"
SCHEMA = "brain-triage/manifest/1"
SUPERSEDED = "superseded"
PARTIAL = ".partial-"
LOCK = ".lock"
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which decision a folder should hold, and in which formats."""

    pseudonym: str
    content_sha256: str
    bundle_digest: str
    formats: tuple[str, ...]


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold an output folder for this run alone; make it when it is not there, and clear what dead runs left."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(out, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TriageError(
                f"Another run is writing to {out}.", do="Wait until it ends, or give this run another --out."
            ) from error
        for left_over in out.glob(f"{PARTIAL}*"):
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        yield
    finally:
        os.close(lock)


@contextmanager
def partial_folder(out: Path, pseudonym: str) -> Iterator[Path]:
    """A fresh folder that readers do not see; gone at the end unless it was published."""
    if not _SAFE_NAME.fullmatch(pseudonym):
        raise ValueError("a pseudonym names a folder: letters, digits, - and _ only")
    folder = out / f"{PARTIAL}{pseudonym}-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(partial: Path, out: Path, outcome: Outcome, wanted: Wanted) -> None:
    """Seal a partial folder and make it the folder of its case."""
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    manifest = {
        "schema": SCHEMA,
        "bundle_digest": wanted.bundle_digest,
        "formats": list(wanted.formats),
        **outcome.as_json(),
        "files": {path.relative_to(partial).as_posix(): file_sha256(path) for path in files},
    }
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for path in (*files, partial / MANIFEST, *(p for p in partial.rglob("*") if p.is_dir()), partial):
        flush(path)
    place = out / wanted.pseudonym
    with partial_folder(out, wanted.pseudonym) as bin_folder:
        if _same_decision(place, wanted) and _untouched(place) and not _added(place):
            place.rename(bin_folder / place.name)
        elif place.exists():
            _move_aside(place, out)
        partial.rename(place)
        flush(out)


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside its place, flush it, then let it take the place in one step."""
    partial = path.with_name(f"{PARTIAL}{path.name}")
    write(partial)
    flush(partial)
    partial.replace(path)
    flush(path.parent)


def whole_folder(out: Path, wanted: Wanted) -> Outcome | None:
    """What came of a case whose folder holds the wanted decision, every file as it was sealed; else None."""
    folder = out / wanted.pseudonym
    if not (_same_decision(folder, wanted) and _untouched(folder)):
        return None
    manifest = read_manifest(folder)
    return _outcome(manifest) if set(wanted.formats) <= set(manifest["formats"]) else None


def unwritable(out: Path, error: OSError) -> TriageError:
    """The error of an output folder that cannot be written, for the operator."""
    return TriageError(
        f"The output folder {out} cannot be written ({os.strerror(error.errno) if error.errno else 'unknown error'}).",
        do="Check its rights and the room on its disk, then run again: decided cases are kept.",
    )


def _move_aside(place: Path, out: Path) -> None:
    """`superseded/<pseudonym>-<bundle>-<content>`, with a number when that name is taken."""
    manifest = read_manifest(place)
    bundle, content = (str(manifest.get(key, "unknown"))[:8] for key in ("bundle_digest", "content_sha256"))
    name = f"{place.name}-{bundle}-{content}"
    attic = out / SUPERSEDED
    attic.mkdir(exist_ok=True)
    taken = sum(1 for _ in attic.glob(f"{name}*"))
    place.rename(attic / (name if not taken else f"{name}-{taken + 1}"))
    flush(attic)


def _same_decision(folder: Path, wanted: Wanted) -> bool:
    manifest = read_manifest(folder)
    key = (manifest.get("content_sha256"), manifest.get("bundle_digest"))
    return key == (wanted.content_sha256, wanted.bundle_digest)


def _untouched(folder: Path) -> bool:
    """Whether every sealed file is as it was."""
    try:
        return all(file_sha256(folder / name) == digest for name, digest in read_manifest(folder)["files"].items())
    except OSError:
        return False


def _added(folder: Path) -> bool:
    """Whether somebody laid files beside the sealed ones, as a reviewer may."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return not found <= {MANIFEST, *read_manifest(folder)["files"]}


def read_manifest(folder: Path) -> dict[str, Any]:
    """What was sealed into the folder of a case; empty when there is no manifest that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and content.get("schema") == SCHEMA else {}


def decisions(out: Path, pseudonym: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folders of all decisions on a case with their manifests, the one that stands first."""
    for folder in (out / pseudonym, *sorted((out / SUPERSEDED).glob(f"{pseudonym}-*"))):
        manifest = read_manifest(folder)
        if manifest.get("pseudonym") == pseudonym:
            yield folder, manifest


def _outcome(manifest: dict[str, Any]) -> Outcome:
    return Outcome(
        pseudonym=manifest["pseudonym"],
        content_sha256=manifest["content_sha256"],
        route=Route(manifest["route"]),
        code=Code(manifest["code"]) if manifest["code"] else None,
        score=float(manifest["score"]),
        limit=float(manifest["limit"]),
        signals={name: float(value) for name, value in manifest["signals"].items()},
        seconds=manifest["seconds"],
        kept=True,
    )
