"""Pseudonyms: what stands in every file, page and log line in place of a name, an identifier or a UID.

A pseudonym is a keyed hash, so it is stable over reruns with the same key, and nobody without the key can test a guess.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from triage.errors import TriageError
from triage.ledger import one_spelling

KEY_BYTES = 32
_CHARACTERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pseudonyms:
    """Names for cases and series. key: 32 secret random bytes; never shown, not even by repr."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"a pseudonym key has {KEY_BYTES} bytes, got {len(self.key)}")

    def of(self, *parts: str) -> str:
        """ "bt-" and 10 lowercase base32 characters: 50 bits of HMAC-SHA256 over the parts, each with its length."""
        message = b"".join(len(raw).to_bytes(8, "big") + raw for raw in (_bytes(part) for part in parts))
        digest = hmac.new(self.key, message, hashlib.sha256).digest()
        return "bt-" + base64.b32encode(digest).decode("ascii")[:_CHARACTERS].lower()

    def of_subject(self, name: str) -> str:
        """What stands for a person, by a patient id in any of its spellings; "" when it names nobody."""
        person = one_spelling(name)
        return self.of("subject", person) if person else ""


def _bytes(part: str) -> bytes:
    return part.encode("utf-8", "surrogateescape")  # file names and bad character sets carry lone surrogates


def load_or_create_key(path: Path) -> bytes:
    """The key in `path`; made there at the first call: 32 random bytes, readable by the owner only, whole or absent.

    Two processes that start at once get the same key: the file appears by a hard link, which only one can make.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mkstemp makes mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first; its key is read below
                os.link(temporary, path)
        finally:
            Path(temporary).unlink()
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise TriageError(
            f"The pseudonym key must have {KEY_BYTES} bytes, the file has {len(key)}.",
            do="Restore it from a backup; without it, old pseudonyms cannot be made again.",
        )
    return key
