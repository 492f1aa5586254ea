"""Files as the disk has them: the digest of their bytes, and that a power cut does not take them."""

import hashlib
import os
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Digest of a file's bytes, hexadecimal: another image under the same name is another image."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Bring a file to the disk, or which names are in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
