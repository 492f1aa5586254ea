"""The bars of the real scans into a bundle's model card, which is sealed again.

python -m pipelines.bench.card --bundle models/shipped
"""

import argparse
import json
from pathlib import Path

from models.bundle import seal
from pipelines.bench.segmentation_bars import bars_table
from pipelines.bench.segmentation_page import read_cost
from pipelines.model_card import CARD
from pipelines.settings import SHIPPED_BUNDLE

HEADING = "## The bars on real scans"


def section(pages: Path) -> str:
    """What the card says, of the figures in docs/benchmarks."""
    results = json.loads((pages / "segmentation.json").read_text())
    return (
        f"{HEADING}\n\nMeasured with {results['bundle']} by `python -m pipelines.bench.segmentation`; what the columns "
        "mean is in `docs/benchmarks/segmentation.md` of the project.\n\n" + bars_table(results, read_cost(pages))
    )


def quoted(card: str, section: str) -> str:
    """The card with this section in the place of the one it had, or else at its end."""
    before, _, after = card.partition(HEADING)
    _, heading, rest = after.partition("\n## ")
    return f"{before.rstrip()}\n\n{section}" + (f"\n{heading.lstrip()}{rest}" if heading else "")


def main() -> None:
    """Write the card and seal the bundle."""
    parser = argparse.ArgumentParser(description="Quote the bars in a bundle's model card, and seal the bundle again.")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    parser.add_argument("--pages", type=Path, default=Path("docs/benchmarks"), help="folder of the figures")
    args = parser.parse_args()
    card = args.bundle / CARD
    card.write_text(quoted(card.read_text(encoding="utf-8"), section(args.pages)), encoding="utf-8")
    print(seal(args.bundle))


if __name__ == "__main__":
    main()
