"""The model card of a promoted bundle: the card that it came with, and what it was promoted on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.bundle import METADATA, seal
from pipelines.comparison import Comparison, as_markdown
from pipelines.markdown import table

CARD = "docs/README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The retraining that made a bundle, as MLflow has it. datasets: digest by name. metrics: by <stage>.<name>."""

    run_id: str
    datasets: Mapping[str, str]
    metrics: Mapping[str, float]


def add_to_card(folder: Path, section: str) -> None:
    """Add a section to the card of a bundle and seal it again."""
    about = json.loads((folder / METADATA).read_text())
    file = folder / CARD
    card = file.read_text(encoding="utf-8") if file.is_file() else f"# Model card: {about['name']} {about['version']}\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{card.rstrip()}\n\n{section}", encoding="utf-8")
    seal(folder)


def promotion(comparison: Comparison | None, *, because: str | None, making: Making | None) -> str:
    """The section of a card that says how the bundle was made, and why it went live."""
    parts = ["## Promotion"]
    if making is not None:
        parts.append(f"Made by the retraining {making.run_id} in MLflow, from these data:")
        parts.append(table(["data", "digest"], sorted(making.datasets.items())).rstrip())
        parts.append(table(["what its stages measured", ""], sorted(making.metrics.items())).rstrip())
    if comparison is None:
        parts.append("It was not compared with the model before it.")
    else:
        live = comparison.live
        parts.append(
            f"Compared on {comparison.at[:10]} with {live.name} {live.version} ({live.digest[:12]}), which was live. "
            f"The table of test cases has the SHA-256 {comparison.cases[:12]}; gains are positive where this model is "
            "better, with 95 % intervals over subjects drawn again."
        )
        parts.append(as_markdown(comparison).rstrip())
    if because:
        parts.append(f"Promoted because: {because}")
    return "\n\n".join(parts) + "\n"
