"""Text can be read: WCAG 2.2, level AA, in the dark and in the light."""

import re
from pathlib import Path

import pytest

from tests.triage.wcag import contrast

READ = ("ink", "quiet", "link", "flagged", "done", "refused", "alarm")
BEHIND = ("page", "card", "raised")
PAIRS = (
    *((text, ground) for text in READ for ground in BEHIND),
    ("main-ink", "main"),
    ("ink", "flagged-soft"),
    ("flagged", "flagged-soft"),
    ("ink", "done-soft"),
    ("ink", "alarm-soft"),
)
AA = 4.5


def colours(repository: Path, selector: str) -> dict[str, str]:
    css = (repository / "triage/web/static/review.css").read_text()
    block = css.partition(f"{selector} {{")[2].partition("}")[0]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


def test_nothing_that_can_be_used_is_made_paler(repository: Path) -> None:
    css = (repository / "triage/web/static/review.css").read_text()

    assert re.findall(r"([^{}]+) \{[^{}]*opacity: 0", css) == ["\nbutton:disabled"]


@pytest.mark.parametrize("selector", [":root", ':root[data-theme="light"]'])
def test_every_text_stands_out_from_what_is_behind_it(selector: str, repository: Path) -> None:
    named = colours(repository, selector)
    ratios = {(text, ground): contrast(named[text], named[ground]) for text, ground in PAIRS}

    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < AA} == {}
