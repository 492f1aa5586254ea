"""What a file seems to be, by its name and first bytes, before anything parses it."""

import hashlib
import re
from enum import Enum
from pathlib import Path

from triage.dicom.files import open_regular
from triage.errors import Code, Refusal
from triage.nifti_names import SUFFIXES

_DICOM_NAME = re.compile(r"\.(dcm|dicom|ima|img)$", re.I)
_ARCHIVE_NAME = re.compile(r"\.(zip|tar|tgz|tar\.\w+|tbz2?|txz|7z|rar|bz2|xz|zst|gz)$", re.I)
_ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
_LEFT_ALONE = (
    (re.compile(r"\.(txt|md|rst|log|rtf|docx?|odt|bval|bvec|me|info|cfg|ini|ya?ml|toml)$", re.I), "text files"),
    (re.compile(r"\.(json|xml|csv|tsv|xlsx?|ods|html?|sql|db|sqlite)$", re.I), "tables and structured text"),
    (re.compile(r"\.(png|jpe?g|gif|tiff?|bmp|svg|webp|heic)$", re.I), "pictures"),
    (re.compile(r"\.pdf$", re.I), "PDF documents"),
    (re.compile(r"\.(exe|dll|so|bat|sh|py|js|jar|class|app|msi|lnk|inf|css|ico)$", re.I), "programs"),
    (re.compile(r"\.(part|tmp|partial|crdownload|swp)$", re.I), "unfinished copies"),
    (re.compile(r"\.(hdr|mnc|nrrd|nhdr|mha|mhd|mif|head|brik|par|rec)(\.gz)?$", re.I), "image formats not read here"),
    (re.compile(r"\.(mp4|mov|avi|wav|mp3|mat|npy|npz|h5|hdf5|pkl|pt|pth|safetensors)$", re.I), "other data"),
)
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"BM")


class Kind(Enum):
    """Formats that are read."""

    DICOM = "DICOM"
    NIFTI = "NIfTI"


def kind_of(path: Path) -> Kind | str:
    """The kind of a file, or in a reader's words what it is that is left alone. A Refusal for archives, for what is
    no regular file, and for what is neither known nor harmless.

    The mark of DICOM counts before any name; a name that claims DICOM without the mark is refused.
    """
    name = path.name
    with open_regular(path, max_bytes=1 << 62) as file:
        head = file.read(512)
    if head[128:132] == b"DICM":
        return Kind.DICOM
    if name.lower().endswith(SUFFIXES):
        return Kind.NIFTI
    if _DICOM_NAME.search(name):
        raise _stray()
    for pattern, words in _LEFT_ALONE:
        if pattern.search(name):
            return words
    if _ARCHIVE_NAME.search(name) or head.startswith(_ARCHIVE_STARTS):
        raise Refusal(Code.ARCHIVE, "Archives are not opened.", do="Unpack them into a folder, and give that folder.")
    if head.startswith(b"%PDF"):
        return "PDF documents"
    if head.startswith(_PICTURES):
        return "pictures"
    if _is_text(head):
        return "text files"
    raise _stray()


def fingerprint(path: Path) -> str:
    """SHA-256 of the size and the first 64 KiB, for files that are refused unread; nothing
    when it cannot be opened."""
    digest = hashlib.sha256()
    try:
        with open_regular(path, max_bytes=1 << 62) as file:
            digest.update(file.read(1 << 16))
            digest.update(str(file.seek(0, 2)).encode())
    except Refusal:  # a link or a pipe has no content of its own
        return digest.hexdigest()
    return digest.hexdigest()


def _is_text(head: bytes) -> bool:
    """Printable ASCII or UTF-8, cut anywhere, and not empty."""
    if not head or any(byte < 9 or 13 < byte < 32 for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4
    return True


def _stray() -> Refusal:
    return Refusal(Code.NOT_DICOM, "Files are neither DICOM nor NIfTI.", do="Check what they are; they were not read.")
