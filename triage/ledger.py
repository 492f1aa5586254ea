"""The ledger of splits: which subject may be used for what, settled once and for ever.

A subject trains, tunes, calibrates, tests or is audited, never two of these: else a promise made on one split is a
promise about cases that the model has seen. The file holds keyed digests, so that it names nobody, one JSON line a
subject. Lines are only ever added, and each is chained to the one before it.
"""

import fcntl
import hashlib
import hmac
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from triage.errors import TriageError


class Split(StrEnum):
    """What the cases of a subject may be used for.

    train: weights. tune: temperature, prior, score. calibrate: certifying the limit, nothing else. test, audit: only
    looking. A new subject belongs to audit when it was read blind, and some others do.
    """

    TRAIN = "train"
    TUNE = "tune"
    CALIBRATE = "calibrate"
    TEST = "test"
    AUDIT = "audit"


SHARES: Mapping[Split, float] = {
    Split.TRAIN: 0.5,
    Split.TUNE: 0.1,
    Split.CALIBRATE: 0.25,
    Split.TEST: 0.1,
    Split.AUDIT: 0.05,
}
"""How new subjects are shared out."""


def one_spelling(subject: str) -> str:
    """The name of a subject without what may differ between two spellings of it; empty when it names nobody."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", subject).casefold()).strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """file: JSON lines, made at the first subject. key: secret bytes, those of the pseudonyms; another key is refused.

    A subject is any name that stands for one person, such as a patient id. Case, blanks around it and Unicode forms of
    it make no difference: what may be one person stays in one split. alias: the other name under which a person of this
    name is known; a table may say "patient 7" where an inbox only tells a pseudonym. Both are settled at once.
    """

    file: Path
    key: bytes = field(repr=False)
    alias: Callable[[str], str] = one_spelling

    def split_of(self, subject: str, shares: Mapping[Split, float] = SHARES) -> Split:
        """The subject's split. A new one is allotted by its digest and the shares, and written down."""
        digests = self._digests(subject)
        with self._open() as (file, known, last):
            settled = _settled(digests, known)
            if settled is None:
                settled = _allotted(digests[0], shares)
                self._append(file, dict.fromkeys(digests, settled), last)
            return settled

    def find(self, subject: str) -> Split | None:
        """The subject's split; None when it was never settled. Writes nothing."""
        if not self.file.exists():
            return None
        with self._open() as (_, known, _):
            return _settled(self._digests(subject), known)

    def foresee(self, subject: str) -> Split:
        """What `split_of` would say, but nothing is written: until then the subject may still be frozen elsewhere."""
        return self.find(subject) or _allotted(self._digests(subject)[0], SHARES)

    def freeze(self, subjects: Iterable[str], split: Split) -> None:
        """Settle this split for all of these subjects, or, when one of them is in another, for none.

        Raises TriageError when one would cross.
        """
        people = dict.fromkeys(self._digests(subject) for subject in subjects)
        with self._open() as (file, known, last):
            others = [[known[d] for d in digests if known.get(d, split) is not split] for digests in people]
            crossing = list(filter(None, others))
            if crossing:
                raise TriageError(
                    f"{len(crossing)} of {len(people)} subjects given as {split} are in another split for ever: "
                    f"{', '.join(sorted({other for splits in crossing for other in splits}))}.",
                    do=f"Leave them out, or use them for what they are. `split_of` tells each one's; see {self.file}.",
                )
            new = {digest: split for digests in people for digest in digests if digest not in known}
            self._append(file, new, last)

    def _digests(self, subject: str) -> tuple[str, ...]:
        """Of the name as given and of its alias."""
        name = one_spelling(subject)
        if not name:
            raise TriageError(
                "A case without a subject cannot be put into any split.", do="Give every case its subject."
            )
        names = dict.fromkeys((name, one_spelling(self.alias(name))))
        return tuple(
            hmac.new(self.key, one.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest() for one in names
        )

    @contextmanager
    def _open(self) -> Iterator[tuple[TextIO, dict[str, Split], str]]:
        """The file under a lock, what it says, and its last link."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known, last = self._read(file)
            yield file, known, last

    def _read(self, file: TextIO) -> tuple[dict[str, Split], str]:
        known: dict[str, Split] = {}
        last = ""
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                digest, split, link = row["subject"], Split(row["split"]), row["link"]
                sound = line.endswith("\n") and digest not in known and link == self._link(last, digest, split)
            except (ValueError, KeyError, TypeError):
                sound = False
            if not sound:
                raise TriageError(
                    f"Line {number} of the ledger of splits {self.file} was changed, or written with another key.",
                    do="Restore ledger and key from a backup: without them no split can be trusted.",
                )
            known[digest], last = split, link
        return known, last

    def _append(self, file: TextIO, new: Mapping[str, Split], last: str) -> None:
        for digest, split in new.items():
            last = self._link(last, digest, split)
            file.write(json.dumps({"subject": digest, "split": split, "link": last}) + "\n")
        file.flush()
        os.fsync(file.fileno())

    def _link(self, last: str, digest: str, split: Split) -> str:
        return hmac.new(self.key, f"{last} {digest} {split}".encode(), hashlib.sha256).hexdigest()[:32]


def _settled(digests: Iterable[str], known: Mapping[str, Split]) -> Split | None:
    return next((known[digest] for digest in digests if digest in known), None)


def _allotted(digest: str, shares: Mapping[Split, float]) -> Split:
    """The split in whose share of [0, 1) the digest falls; the shares are taken relative to their sum."""
    if not shares or not all(share >= 0 for share in shares.values()) or not sum(shares.values()) > 0:
        raise ValueError(f"shares must be >= 0 and not all 0, got {dict(shares)}")
    left = int(digest[:13], 16) / 16**13 * sum(shares.values())
    for split, share in shares.items():
        if left < share:
            return split
        left -= share
    return max(shares, key=lambda split: shares[split])  # rounding, at the very end of the last share
