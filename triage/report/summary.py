"""A run as its pages show it: read back from the case folders, so that it covers what earlier processes decided."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from triage.case import RefusedInput
from triage.errors import Code
from triage.findings import NORMAL, FindingProbability, most_like
from triage.measurements import Measurement
from triage.report.as_json import REPORT, SCHEMA_VERSION
from triage.verdict import (
    BundleId,
    EntropyShare,
    Interpretation,
    Place,
    Reason,
    Route,
    Side,
    SignalReading,
    Spot,
    Verdict,
)

Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedCase:
    """What lies in one case folder. document: report.json as it was read."""

    folder: Path
    pseudonym: str
    verdict: Verdict
    bundle: BundleId
    measurements: Mapping[str, Measurement]
    findings: tuple[FindingProbability, ...]
    refusal: RefusedInput | None
    document: Mapping[str, Any]

    @property
    def most_like(self) -> FindingProbability | None:
        """The most probable finding, None when none was told."""
        return most_like(self.findings)

    @property
    def seconds(self) -> float:
        """Processing time of the case, NaN without a prediction."""
        processing = self.document["processing"]
        return math.fsum(_number(s) for s in processing["timings_s"].values()) if processing else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Facts of one run. finished: with its time zone. skipped: files left alone, counted by reason.

    unreadable: folders whose report.json could not be read; they are shown, since no case may be lost.
    cut_short: the run was stopped before its end, and inputs that it did not reach are not among the cases.
    alarm: why the promise is in doubt, "" when it is not.
    """

    finished: datetime
    bundle: BundleId
    promise: str
    seconds: float
    cases: tuple[DecidedCase, ...]
    unreadable: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    cut_short: bool = False
    alarm: str = ""

    def routed(self, route: Route) -> tuple[DecidedCase, ...]:
        """The cases of one route, most doubtful first, then by pseudonym."""
        chosen = [case for case in self.cases if case.verdict.route is route]
        return tuple(sorted(chosen, key=lambda case: (-case.verdict.doubt, case.pseudonym)))

    @property
    def accepted(self) -> tuple[DecidedCase, ...]:
        return self.routed(Route.ACCEPTED)

    @property
    def accepted_not_normal(self) -> tuple[DecidedCase, ...]:
        """Accepted cases that look most like something other than normal."""
        return tuple(c for c in self.accepted if c.most_like is not None and c.most_like.key != NORMAL.key)

    @property
    def flagged(self) -> tuple[DecidedCase, ...]:
        return self.routed(Route.HUMAN_REVIEW)

    @property
    def refused(self) -> tuple[DecidedCase, ...]:
        return self.routed(Route.REFUSED)

    @property
    def flagged_because(self) -> list[tuple[str, int]]:
        """How many flagged cases each reason stands in, most frequent first."""
        return Counter(title for case in self.flagged for title in dict.fromkeys(reason_titles(case))).most_common()

    @property
    def refused_because(self) -> list[tuple[str, int]]:
        """How many inputs were refused with each code, most frequent first."""
        return Counter(case.refusal.code.value for case in self.refused if case.refusal).most_common()


def reason_titles(case: DecidedCase) -> list[str]:
    """Titles of the reasons: that of the signal, or the rule's own name where it stands outside the score."""
    titles = {signal.name: signal.title for signal in case.verdict.signals}
    return [titles.get(reason.signal, reason.signal.replace("_", " ").capitalize()) for reason in case.verdict.reasons]


def load_cases(out: Path) -> tuple[tuple[DecidedCase, ...], tuple[str, ...]]:
    """The decided cases of an output folder, and the names of the folders whose report.json cannot be read."""
    cases, unreadable = [], []
    for path in sorted(out.glob(f"[!.]*/{REPORT}")):
        try:
            cases.append(load_case(path.parent))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            unreadable.append(path.parent.name)
    return tuple(cases), tuple(unreadable)


def load_case(folder: Path) -> DecidedCase:
    """One case from its folder; a null number becomes NaN again."""
    document = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    if str(document["schema_version"]).partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
        raise ValueError(f"report.json has version {document['schema_version']}, this program reads {SCHEMA_VERSION}")
    rows = [_measurement(row) for row in document["measurements"]]
    return DecidedCase(
        folder=folder,
        pseudonym=document["case"]["pseudonym"],
        verdict=_verdict(document["verdict"]),
        bundle=BundleId(**document["bundle"]),
        measurements={row.key: row for row in rows},
        findings=tuple(_finding(row) for row in document.get("findings", ())),  # none before version 1.1
        refusal=_refusal(document),
        document=document,
    )


def _verdict(written: Mapping[str, Any]) -> Verdict:
    place = written["place"]
    return Verdict(
        route=Route(written["route"]),
        score=_number(written["score"]),
        limit=_number(written["limit"]),
        signals=tuple(SignalReading(**_numbers(row, "value", "limit", "part")) for row in written["signals"]),
        reasons=tuple(Reason(**_numbers(row, "value", "limit", "part")) for row in written["reasons"]),
        action=written["action"],
        place=_place(place) if place else None,
        promise=written["promise"],
        interpretation=_interpretation(written.get("interpretation")),  # none before version 1.1
    )


def _place(written: Mapping[str, Any]) -> Place:
    return Place(
        conformed=tuple(written["conformed"]),
        scanner=tuple(written["scanner"]),
        ras_mm=tuple(written["ras_mm"]),
        structure=written["structure"],
    )


def _interpretation(written: Mapping[str, Any] | None) -> Interpretation | None:
    if written is None:
        return None
    shares = (_numbers(row, "share", "of_brain") for row in written["shares"])
    spots = (_numbers(row, "nats", "ml") for row in written["spots"])
    return Interpretation(
        shares=tuple(EntropyShare(**{**row, "side": Side(row["side"])}) for row in shares),
        spots=tuple(Spot(**{**row, "side": Side(row["side"]), "place": _place(row["place"])}) for row in spots),
        misfit=_number(written.get("misfit")),  # none before version 1.2, as of slices
        slices=(slices[0], slices[1]) if (slices := written.get("slices")) else None,
    )


def _measurement(written: Mapping[str, Any]) -> Measurement:
    return Measurement(**_numbers(written, "value", "low", "high"))


def _finding(written: Mapping[str, Any]) -> FindingProbability:
    return FindingProbability(**_numbers(written, "probability", "low", "high"))


def _refusal(document: Mapping[str, Any]) -> RefusedInput | None:
    written, case = document["refusal"], document["case"]
    if written is None:
        return None
    return RefusedInput(
        pseudonym=case["pseudonym"],
        content_sha256=case["content_sha256"],
        code=Code(written["code"]),
        message=written["message"],
        do=written["do"],
        n_files=written["n_files"],
    )


def _numbers(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: _number(value) if key in names else value for key, value in row.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
