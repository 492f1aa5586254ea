"""Text can be read: WCAG 2.2, level AA, in the dark and in the light."""

import re
from pathlib import Path

import pytest

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


def luminance(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.2, definition of relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_nothing_that_can_be_used_is_made_paler(repository: Path) -> None:
    css = (repository / "triage/web/static/review.css").read_text()

    assert re.findall(r"([^{}]+) \{[^{}]*opacity: 0", css) == ["\nbutton:disabled"]


@pytest.mark.parametrize("selector", [":root", ':root[data-theme="light"]'])
def test_every_text_stands_out_from_what_is_behind_it(selector: str, repository: Path) -> None:
    named = colours(repository, selector)

    def contrast(text: str, ground: str) -> float:
        dark, light = sorted((luminance(named[text]), luminance(named[ground])))
        return (light + 0.05) / (dark + 0.05)

    assert {pair: round(contrast(*pair), 2) for pair in PAIRS if contrast(*pair) < AA} == {}
