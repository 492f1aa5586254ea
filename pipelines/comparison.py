"""What comparing a challenger with the live model found: a verdict, a table, and a file that promotion asks for."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.folders import replace_file
from pipelines.markdown import figure, table
from pipelines.outcome import plain
from pipelines.paired import ALL, MEASURES, Difference, Standing
from triage.verdict import BundleId


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """One case that the live model decided, and what the challenger would have.

    rejected: by a reader. agreement: mean Dice of the two segmentations over the graded structures. trained_on: one of
    the two models has learnt from the case, so it shows nothing of what comes.
    """

    pseudonym: str
    live_accepts: bool
    challenger_accepts: bool
    rejected: bool
    agreement: float
    trained_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A challenger against the live model. at: when, ISO 8601. cases: digest of the test set, see `pipelines.frozen`.

    frozen: digest of the one that stood then. decided: cases that the live model had decided, refused ones apart.
    """

    live: BundleId
    challenger: BundleId
    at: str
    cases: str
    frozen: str
    decided: int
    differences: tuple[Difference, ...]
    shadow: tuple[Shadowed, ...]

    @property
    def standing(self) -> Standing:
        """Worse anywhere is worse. Over all cases each measure must be shown not to be; else nobody can tell."""
        overall = [one.standing for one in self.differences if one.group == ALL]
        if any(one.standing is Standing.WORSE for one in self.differences):
            return Standing.WORSE
        if len(overall) < len(MEASURES) or Standing.CANNOT_TELL in overall:
            return Standing.CANNOT_TELL
        return Standing.BETTER if Standing.BETTER in overall else Standing.NOT_WORSE

    @property
    def objections(self) -> tuple[str, ...]:
        """What forbids that the challenger goes live without a word: what it is or was, in words."""
        found = []
        if self.standing is Standing.WORSE:
            found.append(f"is worse than the live model ({self.named(Standing.WORSE)})")
        elif self.standing is Standing.CANNOT_TELL:
            found.append(f"is not shown to be no worse than the live model ({self.named(Standing.CANNOT_TELL)})")
        if self.cases != self.frozen:
            found.append("was compared on another test set than the frozen one")
        if self.decided and all(one.trained_on for one in self.shadow):
            found.append(f"was tried in shadow on none of the {self.decided} cases that the live model decided")
        return tuple(found)

    @property
    def gives_leave(self) -> bool:
        """Whether the challenger may go live without a word."""
        return not self.objections

    def named(self, standing: Standing) -> str:
        """Where the challenger stands so, in words; of what cannot be told, over all cases only."""
        told = [one for one in self.differences if one.standing is standing]
        shown = [one for one in told if one.group == ALL or standing is not Standing.CANNOT_TELL]
        return (
            "; ".join(f"{MEASURES[one.measure].title}, {one.group}" for one in shown) or "not every measure was taken"
        )


def write_comparison(comparison: Comparison, file: Path) -> None:
    """As JSON; the file appears whole."""
    text = json.dumps(_plain(asdict(comparison)), indent=1, allow_nan=False) + "\n"

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, write)


def read_comparison(file: Path) -> Comparison | None:
    """What `write_comparison` wrote; None when there is none that can be read: then nothing was compared."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Comparison(
            live=BundleId(**found.pop("live")),
            challenger=BundleId(**found.pop("challenger")),
            differences=tuple(_difference(one) for one in found.pop("differences")),
            shadow=tuple(Shadowed(**one | {"agreement": float(one["agreement"])}) for one in found.pop("shadow")),
            **found,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def as_markdown(comparison: Comparison) -> str:
    """The table and the verdict."""
    rows = [
        [one.group, MEASURES[one.measure].title, one.subjects, one.live, one.challenger, _interval(one), one.standing]
        for one in comparison.differences
    ]
    header = ["cases", "measure", "subjects", "live", "challenger", "gain (95 %)", ""]
    text = table(header, rows)
    if comparison.shadow:
        text += f"\n{_shadow(comparison.shadow)}\n"
    text += f"\nOverall: **{comparison.standing}**.\n"
    if not comparison.gives_leave:
        text += f"\nNo leave to promote: the challenger {' and '.join(comparison.objections)}.\n"
    return text


def _difference(kept: dict[str, Any]) -> Difference:
    numbers = ("live", "challenger", "gain", "low", "high")
    return Difference(**kept | {name: float(kept[name]) for name in numbers})


def _plain(value: Any) -> Any:
    """NaN becomes a word that `float` reads back."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return plain(value) if isinstance(value, float) else value


def _interval(one: Difference) -> str:
    gain, low, high = (figure(value, 4) for value in (one.gain, one.low, one.high))
    return f"{gain} ({low} to {high})"


def _shadow(shadow: Sequence[Shadowed]) -> str:
    told = [one for one in shadow if not one.trained_on]
    lost = [one.pseudonym for one in told if one.live_accepts and not one.challenger_accepts]
    won = [one.pseudonym for one in told if one.challenger_accepts and not one.live_accepts]
    wrong = [one.pseudonym for one in told if one.challenger_accepts and one.rejected]
    learnt = [one.pseudonym for one in shadow if one.trained_on]
    worst = min(shadow, key=lambda one: one.agreement)
    return "\n".join(
        [
            f"In shadow on {len(shadow)} cases that the live model decided:",
            f"- trained on, so left out of all but the last line: {len(learnt)} {' '.join(learnt)}".rstrip(),
            f"- accepted by the live model alone: {len(lost)} {' '.join(lost)}".rstrip(),
            f"- accepted by the challenger alone: {len(won)} {' '.join(won)}".rstrip(),
            f"- accepted by the challenger, rejected by a reader: {len(wrong)} {' '.join(wrong)}".rstrip(),
            f"- the segmentations agree to a Dice of {worst.agreement:.3f} or more (least: {worst.pseudonym})",
        ]
    )
