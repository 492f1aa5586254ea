"""The page of a run: one file that holds everything, asks for nothing and runs no script."""

import math
from pathlib import Path

from jinja2 import Environment

from triage import NOT_FOR_CLINICAL_USE, __version__
from triage.anatomy import STRUCTURES
from triage.report.decomposition import decompose
from triage.report.explanation import explain, spot_title
from triage.report.overlays import ENTROPY_TOP_NATS, entropy_colours
from triage.report.panels import SCALE_BAR_MM, panels, side_mm, spot_panels, thumbnail
from triage.report.summary import RunSummary, reason_titles
from triage.report.templating import templates_of

INDEX = "index.html"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
ACCEPTED_COLUMNS = (
    ("grey_matter", "Grey matter"),
    ("white_matter", "White matter"),
    ("csf", "CSF"),
    ("lateral_ventricles", "Lateral ventricles"),
    ("hippocampus_amygdala", "Hippocampus and amygdala"),
    ("lesion", "Lesion"),
    ("brain_parenchymal_fraction", "BPF"),
)


def write_index(run: RunSummary, path: Path) -> None:
    """Writes the page of a run; pictures come from the case folders and are held inside it."""
    page = (
        _environment()
        .get_template("index.html")
        .render(
            run=run,
            notice=NOT_FOR_CLINICAL_USE,
            version=__version__,
            policy=CONTENT_SECURITY_POLICY,
            structures=STRUCTURES,
            entropy_top=ENTROPY_TOP_NATS,
            entropy_stops=["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in entropy_colours(9)],
            accepted_columns=ACCEPTED_COLUMNS,
            scale_bar=SCALE_BAR_MM,
        )
    )
    path.write_text(page, encoding="utf-8")


def _environment() -> Environment:
    environment = templates_of("triage.report")
    environment.filters["duration"] = duration
    environment.globals |= {
        "panels": panels,
        "thumbnail": thumbnail,
        "decompose": decompose,
        "explain": explain,
        "spot_panels": spot_panels,
        "spot_title": spot_title,
        "reason_titles": reason_titles,
        "side_mm": side_mm,
    }
    return environment


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds from a minute on."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
