"""The bundles of a state folder: each lies in a folder named by its digest and is never overwritten; one may be live.

A run reads its bundle once, at its start, so it ends on the bundle that it began with, whatever is promoted meanwhile.
"""

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.folders import PARTIAL
from pipelines.settings import SHIPPED_BUNDLE, Settings
from triage.disk import file_sha256, flush
from triage.errors import TriageError
from triage.review import History, connect
from triage.review.records import LiveRecord
from triage.verdict import BundleId

BUNDLES = "bundles"
SUMS = "SHA256SUMS"
DOCUMENTS = ("docs/", "LICENSE")
"""Files of a bundle that no decision depends on."""
KEY_DIGITS = 16
"""Of either digest in the key of a correction, <content>-<labels>; a bundle names by them what it has learnt from."""


@contextmanager
def open_history(settings: Settings) -> Iterator[History]:
    """Which bundle was live when, as the review database knows it."""
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    engine = connect(settings.review_database)
    try:
        yield History(engine)
    finally:
        engine.dispose()


def bundle_in_use(settings: Settings, live: LiveRecord | None) -> Path:
    """The bundle that runs decide with: the one that the settings name, else the live one, else the shipped one."""
    return settings.bundle or standing_bundle(settings, live)


def find_bundle(settings: Settings) -> Path:
    """The bundle in use. Where there is no database nothing was promoted, and none is made."""
    if settings.review_url is None and not settings.review_file.is_file():
        return bundle_in_use(settings, None)
    with open_history(settings) as history:
        return bundle_in_use(settings, history.live())


def standing_bundle(settings: Settings, live: LiveRecord | None) -> Path:
    """The live bundle, or the shipped one before any was promoted. Raises TriageError when the live one is not whole.

    That its files are those of its list is checked where they are read.
    """
    if live is None:
        return SHIPPED_BUNDLE
    folder = kept_folder(settings, live.bundle.digest)
    if digest_of(folder) != live.bundle.digest:
        raise TriageError(
            f"The live bundle {live.bundle.name} {live.bundle.version} was altered, or is missing in {folder.parent}.",
            do=f"No case was decided. Restore {folder.name} from a backup, roll back, or name a bundle with --bundle.",
        )
    return folder


def kept_folder(settings: Settings, digest: str) -> Path:
    """Where a bundle of this digest lies, or would."""
    return settings.state_folder / BUNDLES / digest


def digest_of(folder: Path) -> str | None:
    """SHA-256 of the list of a bundle's files; None when there is none."""
    try:
        return file_sha256(folder / SUMS)
    except OSError:
        return None


def substance(folder: Path) -> str:
    """Digest of all files of a bundle that decisions depend on: another model card makes no other model."""
    lines = (folder / SUMS).read_text().splitlines()
    return hashlib.sha256("\n".join(line for line in lines if not _document(line)).encode()).hexdigest()


def identify(folder: Path) -> BundleId:
    """Name, version and digest of a bundle whose files are all as they were sealed. Raises TriageError."""
    from models.bundle import METADATA, BundleError, verify

    try:
        digest = verify(folder)
        about = json.loads((folder / METADATA).read_text())
        return BundleId(name=about["name"], version=about["version"], digest=digest)
    except BundleError as error:
        raise TriageError(str(error), do="Nothing was changed.") from error


def has_learnt(folder: Path) -> Callable[[str], bool]:
    """Whether a bundle, or one before it, has learnt from a correction of a content, which is given by its SHA-256."""
    from models.bundle import METADATA

    about = json.loads((folder / METADATA).read_text()).get("brain_triage", {})
    learnt = {key.partition("-")[0] for key in about.get("retrained", {}).get("corrections", ())}
    return lambda content_sha256: content_sha256[:KEY_DIGITS] in learnt


def keep(folder: Path, settings: Settings) -> BundleId:
    """Copy a bundle to the folder of its digest, in one step; one that is there already is checked and stays."""
    bundle = identify(folder)
    place = kept_folder(settings, bundle.digest)
    if not place.is_dir():
        partial = place.with_name(f"{PARTIAL}{secrets.token_hex(8)}")
        try:
            shutil.copytree(folder, partial)
            for path in (*partial.rglob("*"), partial):  # all of it, before the folder gets its name
                flush(path)
            partial.rename(place)
        except OSError:
            if not place.is_dir():  # another run has not kept it meanwhile
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return identify(place)


def _document(line: str) -> bool:
    return line.partition("  ")[2].startswith(DOCUMENTS)
