"""The model card quotes the bars as they were measured."""

from pathlib import Path

from pipelines.bench.card import HEADING, quoted, section
from pipelines.model_card import CARD


def test_every_row_of_the_bars_stands_in_the_card_of_the_shipped_bundle(repository: Path) -> None:
    card = (repository / "models" / "shipped" / CARD).read_text(encoding="utf-8")

    lines = section(repository / "docs" / "benchmarks").splitlines()

    stale = [line for line in lines if line not in card.splitlines()]
    assert not stale, "python -m pipelines.bench.card writes the card again"


def test_a_section_takes_the_place_of_the_one_before_it_and_nothing_else_changes() -> None:
    old = quoted("# Card\n\nWords.\n", f"{HEADING}\n\nold\n")

    new = quoted(old + "\n## Promotion\n\nBecause.\n", f"{HEADING}\n\nnew\n")

    assert old == f"# Card\n\nWords.\n\n{HEADING}\n\nold\n"
    assert new == f"# Card\n\nWords.\n\n{HEADING}\n\nnew\n\n## Promotion\n\nBecause.\n"
