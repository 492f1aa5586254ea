"""Which cases to label next: much to learn, of every structure in turn, and unlike what is chosen already.

Each choice serves one structure: of the cases left, the one with the largest
  log I_s(x) + log d(x) + g,
where I_s is the mutual information between labels and weights over structure s (Houlsby et al. 2011, arXiv:1112.5745),
d the distance of the pooled trunk features to the nearest case that is chosen or was corrected (k-centre greedy: Sener
and Savarese 2018, arXiv:1708.00489), and g Gumbel noise, so that a batch is not one best case and its near copies
(PowerBALD: Kirsch et al. 2023, arXiv:2106.12059, with exponent 1). Classes in turn with power noise: Lueth et al. 2026,
arXiv:2601.13677.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.retrain_corrections import open_ledger, read_readings, settle_audit
from pipelines.settings import Settings
from triage.anatomy import BRAIN, STRUCTURES
from triage.errors import TriageError
from triage.ledger import Split
from triage.report.as_json import REPORT

SMALLEST_NATS = 1e-9
KEYS = tuple(s.key for s in STRUCTURES if s.id in BRAIN)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One decided case. information: nats by structure. features: (D,), pooled. read: a reviewer has settled it."""

    pseudonym: str
    information: Mapping[str, float]
    features: NDArray[np.float64]
    read: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """structure: for which it was chosen. nats: its mutual information there. distance: to the nearest one before."""

    pseudonym: str
    structure: str
    nats: float
    distance: float


def propose(candidates: Sequence[Candidate], n: int, *, seed: int = 0) -> list[Proposal]:
    """Up to n of the candidates that nobody has read, in the order in which to label them."""
    rng = np.random.default_rng(seed)
    features = standardised(np.stack([c.features for c in candidates])) if candidates else np.zeros((0, 0))
    left = [k for k, c in enumerate(candidates) if not c.read]
    distance = np.full(len(candidates), np.inf)
    for k, candidate in enumerate(candidates):
        distance = nearer(distance, features, k) if candidate.read else distance
    chosen: list[Proposal] = []
    while left and len(chosen) < n:
        key = KEYS[len(chosen) % len(KEYS)]
        nats = np.array([max(candidates[k].information.get(key, 0.0), SMALLEST_NATS) for k in left])
        far = np.where(np.isinf(distance[left]), 1.0, np.maximum(distance[left], SMALLEST_NATS))
        best = int(np.argmax(np.log(nats) + np.log(far) + rng.gumbel(size=len(left))))
        k = left.pop(best)
        chosen.append(
            Proposal(
                pseudonym=candidates[k].pseudonym,
                structure=key,
                nats=float(nats[best]),
                distance=float(far[best]),
            )
        )
        distance = nearer(distance, features, k)
    return chosen


def standardised(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every feature in SDs over the cases, so that none rules the distance. features: (n, D)."""
    spread = features.std(axis=0)
    scaled: NDArray[np.float64] = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def nearer(distance: NDArray[np.float64], features: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The distances to the nearest centre when case k becomes one too, root mean square over the features."""
    to_k = np.sqrt(((features - features[k]) ** 2).mean(axis=1))
    return np.asarray(np.minimum(distance, to_k))


def read_candidates(settings: Settings) -> list[Candidate]:
    """Every case of an output folder that the model could read and whose subject will train, by the ledger.

    New subjects are not settled here: that comes with their first correction, and will be what is foreseen.
    """
    ledger, readings = open_ledger(settings), read_readings(settings)
    settle_audit(settings, ledger, readings)
    read = {reading.pseudonym for reading in readings}
    found = []
    for path in sorted(settings.out.glob(f"*/{REPORT}")):
        report = json.loads(path.read_text(encoding="utf-8"))
        subject, told = report["case"].get("subject"), report["uncertainty"] or {}
        usable = subject and ledger.foresee(subject) is Split.TRAIN and told.get("pooled_features")
        if usable and not path.parent.name.startswith("."):
            found.append(_candidate(report["case"]["pseudonym"], told, read))
    if not [candidate for candidate in found if not candidate.read]:
        raise TriageError(
            f"No case in {settings.out} is left that could be labelled to learn from.",
            do="Name the folders with --out and --state. Refused cases and subjects of other splits teach nothing.",
        )
    return found


def as_text(proposals: Sequence[Proposal]) -> str:
    """One line a case, in the order in which to label them."""
    name = {s.key: s.name for s in STRUCTURES}
    lines = [f"{p.pseudonym}  for {name[p.structure]}  {p.nats:.5f} nats  distance {p.distance:.2f}" for p in proposals]
    return "\n".join(lines)


def _candidate(pseudonym: str, told: Mapping[str, Any], read: set[str]) -> Candidate:
    features = np.array([np.nan if value is None else value for value in told["pooled_features"]])
    return Candidate(
        pseudonym=pseudonym,
        information={key: float(value or 0.0) for key, value in told["mutual_information"].items()},
        features=np.nan_to_num(features),
        read=pseudonym in read,
    )
