"""Which bundle is live: promotion of a challenger that was compared, and the way back.

The review database decides; MLflow's alias follows. Killed before the database knows, nothing has changed; killed
after, the next promotion, rollback or `brain-triage live` moves the alias. Both may be done again at any moment.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipelines.bundles import BUNDLES, identify, keep, kept_folder, standing_bundle, substance
from pipelines.comparison import Comparison, read_comparison
from pipelines.folders import PARTIAL, locked
from pipelines.frozen import freeze_set
from pipelines.model_card import Making, add_to_card, promotion
from pipelines.settings import Settings
from triage.errors import TriageError
from triage.review import History
from triage.review.records import LiveRecord
from triage.verdict import BundleId

COMPARISONS = "comparisons"


class Registry(Protocol):
    """Where bundles are known to others; it follows what the review database says."""

    def register(self, bundle: BundleId, folder: Path, tags: Mapping[str, str]) -> str: ...

    def point_at(self, version: str) -> None: ...

    def making_of(self, folder: Path) -> Making | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NowLive:
    """What is live, and what was before. warning: what could not be told to the registry, if anything."""

    bundle: BundleId
    before: BundleId | None
    warning: str | None


def comparison_file(settings: Settings, live: Path, challenger: Path) -> Path:
    """Where the comparison of these two models is kept; a new model card makes no new model."""
    return settings.state_folder / COMPARISONS / f"{substance(live)[:16]}-{substance(challenger)[:16]}.json"


def promote(
    challenger: Path,
    settings: Settings,
    history: History,
    registry: Registry | None,
    *,
    by: str,
    because: str | None = None,
) -> NowLive:
    """Make a bundle live. Raises TriageError when its comparison gives no leave and no reason is given to do it anyway.

    registry: None when nobody else has to know. by: who does it, see `pipelines.people`.
    """
    _not_pinned(settings)
    with locked(settings.state_folder / BUNDLES):
        before = history.live()
        standing = standing_bundle(settings, before)
        identify(challenger)
        if before is not None and substance(standing) == substance(challenger):
            return NowLive(bundle=before.bundle, before=None, warning=agree(settings, history, registry))
        comparison = read_comparison(comparison_file(settings, standing, challenger))
        reason, making = _leave(comparison, because), _making(challenger, registry)
        section = promotion(comparison, because=because, making=making)
        bundle = _keep(challenger, settings, history.lives(), section)
        if before is None:  # so that there is a way back
            history.go_live(keep(standing, settings), by=by, because="It came with the program.")
        now = _go_live(bundle, settings, history, registry, by=by, because=reason, making=making)
        if comparison is not None:  # with a reason, also another test set than before
            freeze_set(settings, comparison.cases)
        return now


def rollback(
    settings: Settings, history: History, registry: Registry | None, *, by: str, because: str | None = None
) -> NowLive:
    """Make the bundle live again that was so before the live one was promoted; twice goes back two promotions."""
    _not_pinned(settings)
    with locked(settings.state_folder / BUNDLES):
        standing = _promotions(history.lives())
        if len(standing) < 2:
            raise TriageError("No bundle was live before this one.", do="`brain-triage live` shows the history.")
        bundle = identify(kept_folder(settings, standing[-2].digest))
        return _go_live(bundle, settings, history, registry, by=by, because=because or "Rolled back.")


def agree(settings: Settings, history: History, registry: Registry | None) -> str | None:
    """Register the live bundle where it is not, and move the alias to it; gives a warning when that failed."""
    live, warnings = history.live(), list[str]()
    if registry is not None and live is not None:
        with _forgiving(warnings):
            version = registry.register(live.bundle, kept_folder(settings, live.bundle.digest), {})
            registry.point_at(version)
    return " ".join(warnings) or None


def _leave(comparison: Comparison | None, because: str | None) -> str:
    """Why a challenger may go live. Raises TriageError when it may not."""
    if comparison is None:
        found = "was not compared with the live model"
    elif comparison.gives_leave:
        return f"{because or 'Compared with the live model'}: {comparison.standing}."
    else:
        found = " and ".join(comparison.objections)
    if because:
        return f"{because} (The challenger {found}.)"
    raise TriageError(
        f"The challenger {found}.", do='Compare it with `brain-triage challenge`, or say why with --because "...".'
    )


def _making(challenger: Path, registry: Registry | None) -> Making | None:
    if registry is not None:
        with _forgiving([]):  # that MLflow is away is said where the bundle is registered
            return registry.making_of(challenger)
    return None


def _keep(challenger: Path, settings: Settings, lives: Sequence[LiveRecord], section: str) -> BundleId:
    """Keep the bundle with its promotion on its model card; one that was live before has its card."""
    digest = identify(challenger).digest
    if any(life.bundle.digest == digest for life in lives):
        return keep(challenger, settings)
    with tempfile.TemporaryDirectory(dir=settings.state_folder / BUNDLES, prefix=PARTIAL) as place:
        copy = shutil.copytree(challenger, Path(place) / "bundle")
        add_to_card(copy, section)
        return keep(copy, settings)


def _go_live(
    bundle: BundleId,
    settings: Settings,
    history: History,
    registry: Registry | None,
    *,
    by: str,
    because: str,
    making: Making | None = None,
) -> NowLive:
    before, version, warnings = history.live(), None, list[str]()
    if registry is not None:
        with _forgiving(warnings):
            folder = kept_folder(settings, bundle.digest)
            version = registry.register(bundle, folder, {"training.run": making.run_id} if making else {})
    history.go_live(bundle, by=by, because=because, mlflow_version=version)
    if registry is not None and version is not None:
        with _forgiving(warnings):
            registry.point_at(version)
    return NowLive(bundle=bundle, before=before.bundle if before else None, warning=" ".join(warnings) or None)


def _promotions(lives: Sequence[LiveRecord]) -> list[BundleId]:
    """The bundles that the live one stands on: a promotion adds one, going back to the one below takes one away."""
    standing: list[BundleId] = []
    for life in lives:
        if len(standing) > 1 and standing[-2].digest == life.bundle.digest:
            standing.pop()
        else:
            standing.append(life.bundle)
    return standing


@contextmanager
def _forgiving(warnings: list[str]) -> Iterator[None]:
    """What is live does not hang on MLflow: what it cannot do is a warning."""
    try:
        yield
    except Exception as error:  # any, as with the tracking of runs
        warnings.append(f"MLflow was not told ({type(error).__name__}); `brain-triage live` tells it again.")


def _not_pinned(settings: Settings) -> None:
    if settings.bundle is not None:
        raise TriageError(
            "The settings name a bundle, and that one wins over the live one.", do="Take `bundle` out of the settings."
        )
