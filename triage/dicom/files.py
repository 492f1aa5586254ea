"""Open what an inbox holds without being led elsewhere: regular files only, links are never followed."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from triage.errors import Code, Refusal, TriageError

_CHUNK = 1 << 20


@contextmanager
def open_regular(path: Path, *, max_bytes: int) -> Iterator[BinaryIO]:
    """The file for reading; a link, FIFO, device or socket is refused, and so is a file over max_bytes.

    O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on a regular file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise Refusal(
            Code.NOT_A_REGULAR_FILE,
            "A file could not be opened, or it is a link.",
            do="Put the file itself into the folder, readable for this user.",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Refusal(
                Code.NOT_A_REGULAR_FILE,
                "An entry of the folder is no regular file.",
                do="Remove pipes, devices and sockets from the folder.",
            )
        if status.st_size > max_bytes:
            raise Refusal(
                Code.HEADER_LIMIT,
                f"A file of {status.st_size / 2**20:.0f} MiB is over the limit of {max_bytes / 2**20:.0f} MiB.",
                do="Check what it is; a brain series is far smaller.",
            )
        try:
            yield file
        except OSError as error:
            raise Refusal(
                Code.NOT_A_REGULAR_FILE, "A file could not be read to its end.", do="Check the disk; copy it again."
            ) from error


def sha256_of(file: BinaryIO) -> str:
    """SHA-256 of the whole file, in hexadecimal; leaves the position at the end."""
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def digest_of(*parts: str) -> str:
    """SHA-256 over parts in sorted order: the same set of files has the same digest in any order."""
    digest = hashlib.sha256()
    for part in sorted(parts):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def walk(root: Path, *, max_files: int) -> list[Path]:
    """Every entry under root that is no folder, sorted; a linked folder is an entry, so no loop is possible.

    Hidden files and folders are left out: systems put their own there.
    """
    found: list[Path] = []
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in linked)
        found += [here / name for name in sorted([*names, *linked]) if not name.startswith(".")]
        if len(found) > max_files:
            raise TriageError(
                f"The folder holds more than {max_files} files.",
                do="Give a smaller folder, for example one study or one day.",
            )
    return found
