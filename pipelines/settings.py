"""What an operator may set, with its defaults. YAML and the command line name only what differs."""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from triage.dicom.limits import ReadLimits
from triage.errors import TriageError

SHIPPED_BUNDLE = Path(__file__).resolve().parent.parent / "models" / "shipped"


class _Section(BaseModel):
    """Frozen; a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tracking(_Section):
    """uri: None takes MLFLOW_TRACKING_URI, else a SQLite store in the state folder.

    report: keep the run's report, which shows pictures of heads, as an artifact.
    """

    on: bool = True
    uri: str | None = None
    experiment: str = "brain-triage"
    report: bool = True


class Settings(_Section):
    """Everything that a run can be told. A decided case stays decided: changes count for what is decided from then on.

    state: database of the queue, tracking store, pseudonym key and log; None is `brain-triage-state` beside `out`.
    bundle: None is the live one, which was promoted in this state folder, else the shipped one.
    device: auto takes CUDA where it is; reference is slow and plain. threads: of the processor; None takes all.
    seed: from which every case gets its own. blind_review: share of accepted cases that a human reads all the same.
    review_url: None is a SQLite file in the state folder. limits: how much of the machine one input may take.
    writers: formats to write, by their names in `triage.report.WRITERS`; None writes all.
    """

    out: Path = Path("out")
    state: Path | None = None
    bundle: Path | None = None
    device: Literal["auto", "cpu", "reference", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    blind_review: float = Field(default=0.02, ge=0, le=1)
    writers: tuple[str, ...] | None = None
    review_url: str | None = None
    limits: ReadLimits = ReadLimits()
    tracking: Tracking = Tracking()

    @property
    def state_folder(self) -> Path:
        """Where everything lies that outlives one output folder."""
        return self.state or self.out.absolute().parent / "brain-triage-state"

    @property
    def review_database(self) -> str:
        """Address of the review queue."""
        return self.review_url or f"sqlite:///{self.review_file}"

    @property
    def review_file(self) -> Path:
        """The review queue when no other database is named."""
        return self.state_folder / "review.db"

    @property
    def pseudonym_key(self) -> Path:
        """The secret of the pseudonyms: whoever holds it can tell which pseudonym is whose."""
        return self.state_folder / "pseudonym.key"

    @property
    def log(self) -> Path:
        """JSON lines, one an event."""
        return self.state_folder / "log.jsonl"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps the runs."""
        return (
            self.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.state_folder / 'mlflow.db'}"
        )

    def changed(self, overrides: Mapping[str, Any]) -> "Settings":
        """These settings with the overrides that are not None; `tracking` may name only what differs."""
        merged = self.model_dump(exclude_unset=True)
        for name, value in overrides.items():
            if isinstance(value, Mapping):
                given = {key: inner for key, inner in value.items() if inner is not None}
                merged[name] = {**merged.get(name, {}), **given}
            elif value is not None:
                merged[name] = value
        return _validated(merged, where="the command line")


def load_settings(file: Path | None = None) -> Settings:
    """Settings from a YAML file; the defaults when there is none."""
    if file is None:
        return Settings()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TriageError(
            f"The settings file {file} cannot be read ({type(error).__name__}).",
            do="Give --config an existing YAML file; configs/default.yaml is an example.",
        ) from error
    if content is not None and not isinstance(content, dict):
        raise TriageError(
            f"The settings file {file} holds no `name: value` lines.", do="configs/default.yaml is an example."
        )
    return _validated(content or {}, where=str(file))


def known_settings() -> list[str]:
    """Every setting by its full name."""
    sections = {"tracking": tuple(Tracking.model_fields), "limits": tuple(f.name for f in fields(ReadLimits))}
    own = [name for name in Settings.model_fields if name not in sections]
    return sorted(own + [f"{section}.{name}" for section, names in sections.items() for name in names])


def _validated(content: Mapping[str, Any], *, where: str) -> Settings:
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {_complaint(e)}" for e in error.errors())
        raise TriageError(
            f"The settings of {where} are not valid: {wrong}.", do=f"Known settings: {', '.join(known_settings())}."
        ) from None


def _complaint(error: ErrorDetails) -> str:
    unknown = error["type"] in ("extra_forbidden", "unexpected_keyword_argument")
    return "not a known setting" if unknown else error["msg"]
