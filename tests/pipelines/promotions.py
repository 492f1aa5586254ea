"""What promotions are tried with: toy bundles, registries that tell what they were told, and a promotion that dies."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from models.bundle import METADATA, seal, write_metadata
from pipelines.bundles import digest_of, open_history
from pipelines.model_card import CARD, Making
from pipelines.promote import Registry
from pipelines.promote import promote as promote_by
from pipelines.promote import rollback as rollback_by
from pipelines.settings import Settings
from triage.verdict import BundleId

promote, rollback = (partial(work, by="olga") for work in (promote_by, rollback_by))


@dataclass
class FakeRegistry:
    """A registry in a dict. fails: happens instead of anything."""

    making: Making | None = None

    versions: dict[str, str] = field(default_factory=dict)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    alias: str | None = None
    fails: BaseException | None = None

    def register(self, bundle: BundleId, folder: Path, tags: Mapping[str, str]) -> str:
        if self.fails is not None:
            raise self.fails
        assert digest_of(folder) == bundle.digest
        self.tags.setdefault(bundle.digest, tags)
        return self.versions.setdefault(bundle.digest, str(len(self.versions) + 1))

    def point_at(self, version: str) -> None:
        self.alias = version

    def making_of(self, folder: Path) -> Making | None:
        if self.fails is not None:
            raise self.fails
        return self.making


@dataclass
class FileRegistry:
    """The same in files, so that it outlives the process. step: told before each step."""

    folder: Path
    step: Callable[[str], None] = lambda _: None

    def register(self, bundle: BundleId, folder: Path, tags: Mapping[str, str]) -> str:
        self.step("register")
        (self.folder / bundle.digest).touch()
        return bundle.digest

    def point_at(self, version: str) -> None:
        self.step("alias")
        (self.folder / "alias").write_text(version)

    def making_of(self, folder: Path) -> Making | None:
        return None


def a_bundle(folder: Path, weights: str, *, learnt: Sequence[str] = ()) -> Path:
    """Sealed, with a card. learnt: keys of corrections."""
    about = {"name": "brain-triage-toy", "version": f"1.{weights}"}
    write_metadata(folder / METADATA, about | {"brain_triage": {"retrained": {"corrections": list(learnt)}}})
    (folder / "models").mkdir()
    (folder / "models" / "network.safetensors").write_text(weights)
    (folder / "docs").mkdir()
    (folder / CARD).write_text(f"# Model card: {weights}\n")
    seal(folder)
    return folder


def killed_in_a_child(settings: Settings, challenger: Path, moment: str, folder: Path) -> None:
    """Promote in a process that kills itself right before a step."""
    child = os.fork()
    if child == 0:
        kill_at = Killer(moment)
        registry: Registry = FileRegistry(folder=folder, step=kill_at)
        with open_history(settings) as history:
            history.go_live = kill_at.before("live", history.go_live)  # type: ignore[method-assign]
            Path.rename = kill_at.before("copied", Path.rename)  # type: ignore[method-assign]
            promote(challenger, settings, history, registry, because="Second.")
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


@dataclass
class Killer:
    moment: str

    def __call__(self, step: str) -> None:
        if step == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, step: str, work: Callable[..., object]) -> Callable[..., object]:
        def killed_first(*args: object, **changes: object) -> object:
            self(step)
            return work(*args, **changes)

        return killed_first
