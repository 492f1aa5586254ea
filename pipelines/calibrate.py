"""Calibrate a gate: fit its score on the tune split, certify its limit on the calibrate split, check it on test.

Where the data cannot carry a limit it is refused. `pipelines.certificate` writes what is found here.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from pipelines.degrade import LEVELS
from pipelines.engine import load_engine
from pipelines.judged import Floats, Judged, Mask, Score, fit, up_to
from pipelines.mixture import LEVEL_SHARES, SHARES, TUNED_LEVELS, dealt, draw
from pipelines.population import masks, oldest_years
from pipelines.scans import Scan, read_scans
from pipelines.scored import Item, Scored, Scorer, model_digest
from triage.errors import TriageError
from triage.gate.certify import GroupBound, Level, certify, group_bounds, upper_bound, what_holds
from triage.gate.operating_point import FILE, read_operating_point
from triage.ledger import Ledger, Split, one_spelling

LEDGER_SPLITS: Mapping[str, Split] = {
    "tune": Split.TUNE,
    "calibrate": Split.CALIBRATE,
    "test": Split.TEST,
    "pathology": Split.TEST,
}
"""Split of the table -> that of the ledger; both of the last are only looked at."""
COVERAGES = tuple(np.linspace(0.3, 1.0, 29).round(3).tolist())
"""Candidate limits are the scores under which so much of the mixture lies on the tune split."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """All that stands in the operating point. levels: of measurements. lesion_levels: of missed lesions as well.

    unit: the score that becomes 1, the limit of the smallest certified risk of measurements. curve: there, limits with
    how many cases each accepts and how many of these failed. oldest_years: the limits speak for nobody older.
    """

    score: Score
    levels: Sequence[Level]
    lesion_levels: Sequence[Level]
    unit: float
    curve: Sequence[tuple[float, int, int]]
    groups: Sequence[GroupBound]
    oldest_years: float
    tune: Judged
    calibrate: Judged
    test: Judged

    @property
    def certified(self) -> Level | None:
        """The level of the smallest certified risk; the gate's limit is its."""
        return _smallest(self.levels)

    @property
    def certified_with_lesions(self) -> Level | None:
        """The smallest risk of failing or missing a lesion that is certified at the gate's limit.

        That limit must lie among those that the level tested: nothing was shown under its first one.
        """
        return _smallest(
            [
                level
                for level in self.lesion_levels
                if level.score_limit is not None and level.first_limit <= self.unit <= level.score_limit
            ]
        )


def items(scans: Sequence[Scan]) -> Mapping[str, list[Item]]:
    """What is scored of each split: tune as it is and with every damage dealt out, the others by the mixture."""
    of = {split: [scan for scan in scans if scan.split == split] for split in LEDGER_SPLITS}
    by_subject = {scan.subject: scan for scan in of["tune"]}
    drawn = {split: [Item(scan=s, damage=draw(s.subject)) for s in own] for split, own in of.items() if split != "tune"}
    return drawn | {
        "clean": [Item(scan=scan) for scan in of["tune"]],
        "tune": [Item(scan=by_subject[subject], damage=damage) for subject, damage in dealt(list(by_subject))],
    }


def shares(cases: Sequence[Scored]) -> Floats:
    """How often the mixture would draw something like each of the tune split's cases, sums to 1.

    A clean scan stands for as many as it has equals; a level that was tuned on, also for its neighbours that were not.
    """
    damages = [case.item.damage for case in cases]
    clean = sum(not damage.level for damage in damages)
    stands_for = dict.fromkeys(TUNED_LEVELS, 0.0)
    for level, share in zip(LEVELS, LEVEL_SHARES, strict=True):
        nearest = [tuned for tuned in TUNED_LEVELS if abs(tuned - level) <= min(abs(t - level) for t in TUNED_LEVELS)]
        for tuned in nearest:
            stands_for[tuned] += share / len(nearest)
    weight = [SHARES[d.kind] * (stands_for[d.level] if d.level else 1 / clean) for d in damages]
    return np.array(weight) / sum(weight)


def candidates(tune: Judged, failed: Mask, n: int, risks: Sequence[float], delta: float) -> dict[float, list[float]]:
    """For each risk the limits to test, fixed on the tune split: from the one that most likely passes on, loosest last.

    How likely: the binomial probability of few enough failures among n cases, when coverage and failure rate are those
    of the tune split, the latter with half a failure added, since none seen is not none to come. delta: of one risk.
    """
    weight = shares(tune.cases)
    order = np.argsort(tune.score)[: int(np.isfinite(tune.score).sum())]
    reached = np.cumsum(weight[order])
    limits = np.unique(np.interp(COVERAGES, reached, tune.score[order]))
    rates = [_rates(tune.score <= limit, failed, weight) for limit in limits]
    found = {}
    for risk in risks:
        chance = [_chance(*rate, n=n, risk=risk, delta=delta) for rate in rates]
        found[risk] = limits[int(np.argmax(chance)) :].tolist()
    return found


def calibrate(
    *,
    cases: Path,
    bundle: Path,
    risks: Sequence[float],
    lesion_risks: Sequence[float],
    confidence: float,
    whatever_holds: bool = False,
    ledger: Ledger,
    cache: Path,
    say: Callable[[str], None],
) -> Calibration:
    """Score, fit, certify, check. Raises TriageError when a subject would cross from one split to another, when nobody
    knows whose a scan is, or when two scans of the calibrate split are of one subject.
    """
    if not (risks and all(0 < x < 1 for x in (*risks, *lesion_risks, confidence))):
        raise TriageError(
            "A risk and a confidence lie between 0 and 1.", do="Give, say, --risk 0.05 --confidence 0.95."
        )
    scans = [scan for scan in read_scans(cases, list(LEDGER_SPLITS)) if scan.labels is not None]
    check_subjects(scans, cases)
    for name, settled in LEDGER_SPLITS.items():
        ledger.freeze([scan.subject for scan in scans if scan.split == name], settled)
    engine, usual = load_engine(bundle), read_operating_point(bundle / FILE).usual_entropy
    scorer = Scorer(engine=engine, model=model_digest(bundle), usual_entropy=usual, cache=cache)
    found: dict[str, list[Scored]] = {}
    for split in ("clean", "tune", "calibrate", "test"):
        say(f"scoring {split}")
        found[split] = list(scorer(items(scans)[split]))
    return certified(found, risks, lesion_risks, 1 - confidence, whatever_holds=whatever_holds)


def check_subjects(scans: Sequence[Scan], table: Path) -> None:
    """Splits are by subject and the certificate counts subjects. Raises TriageError with the rows in the way."""
    nameless = [scan.name for scan in scans if not one_spelling(scan.subject)]
    if nameless:
        raise TriageError(
            f"{table}: nobody knows whose these scans are: {', '.join(nameless)}.",
            do="Fill in the column subject: no subject may be in two splits.",
        )
    certifying: dict[str, list[str]] = defaultdict(list)
    for scan in scans:
        if LEDGER_SPLITS[scan.split] is Split.CALIBRATE:
            certifying[one_spelling(scan.subject)].append(scan.name)
    repeated = [" and ".join(names) for names in certifying.values() if len(names) > 1]
    if repeated:
        raise TriageError(
            f"{table}: the calibrate split has more than one scan of a subject: {', '.join(repeated)}.",
            do="Keep one row of each subject there: scans of one subject would be counted as if independent.",
        )


def certified(
    found: Mapping[str, Sequence[Scored]],
    risks: Sequence[float],
    lesion_risks: Sequence[float],
    delta: float,
    *,
    whatever_holds: bool = False,
) -> Calibration:
    """From scored cases: the score from clean and tune, its limit from calibrate, a look at test.

    All risks, of measurements and with lesions, share one delta. whatever_holds: see `what_holds`.
    """
    score = fit(found["clean"], found["tune"])
    tune, seen, test = (score.judge(c) for c in ([*found["clean"], *found["tune"]], found["calibrate"], found["test"]))
    n, each = len(seen.cases), delta / (len(risks) + len(lesion_risks))
    limits = candidates(tune, tune.failed, n, risks, each)
    levels = certify(seen.score, seen.failed, limits, each * len(risks))
    if whatever_holds and _smallest(levels) is None and (held := what_holds(levels)).risk < 1:
        levels.append(held)
    with_lesions = candidates(tune, tune.missed, n, lesion_risks, each)
    lesion_levels = certify(seen.score, seen.missed, with_lesions, each * len(lesion_risks))
    best = _smallest(levels) or min(levels, key=lambda level: level.more)
    unit = best.score_limit if best.score_limit is not None else best.first_limit
    accepted, oldest = seen.score <= unit, oldest_years(seen.scans)
    groups = {name: mask & accepted for name, mask in masks(seen.scans)}
    tested = next(limits[risk] for risk in limits if limits[risk][0] == best.first_limit)
    curve = [(limit / unit, *_counts(seen, limit)) for limit in tested]
    return Calibration(
        score=score,
        levels=levels,
        lesion_levels=lesion_levels,
        unit=unit,
        curve=curve,
        groups=group_bounds(groups, seen.failed, risk=best.risk, delta=delta),
        oldest_years=oldest,
        tune=tune,
        calibrate=seen,
        test=up_to(test, oldest),
    )


def _counts(judged: Judged, limit: float) -> tuple[int, int]:
    """Accepted, and failures among them."""
    accepted = judged.score <= limit
    return int(accepted.sum()), int((accepted & judged.failed).sum())


def _smallest(levels: Sequence[Level]) -> Level | None:
    return min((lv for lv in levels if lv.score_limit is not None), key=lambda level: level.risk, default=None)


def _rates(accepted: Mask, failed: Mask, weight: Floats) -> tuple[float, float]:
    """Share of the mixture that is accepted, and of these the share that fails, half a failure added."""
    coverage, half = float(weight[accepted].sum()), 0.5 / len(weight)
    return coverage, (float(weight[accepted & failed].sum()) + half) / (coverage + 2 * half)


def _chance(coverage: float, rate: float, *, n: int, risk: float, delta: float) -> float:
    """That a limit is certified on n cases which are accepted and fail at these rates."""
    m = round(coverage * n)
    allowed = [k for k in range(m) if upper_bound(k, m, delta) <= risk]
    return float(stats.binom.cdf(max(allowed), m, rate)) if allowed else 0.0
