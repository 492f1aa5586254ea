"""Text and numbers as pages show them: nothing acts, everything is seen, no number claims more than it can."""

import math
import unicodedata
from typing import Any

from markupsafe import Markup

_ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that act instead of showing: control, bidirectional and other format characters, separators."""


def visible(text: str) -> str:
    """The text with every acting character as its escape, `\\x1b` or `\\u202e`; what looks harmless then is."""
    return "".join(_escape(c) if unicodedata.category(c) in _ACTING else c for c in text)


def as_shown(value: Any) -> Any:
    """What a template shows, made visible; escaping follows, so markup of our own is left alone."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def number(value: float, digits: int = 3) -> str:
    """A decimal with a true minus sign; "not a number" says so."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else "not a number"


def percent(probability: float) -> str:
    """A probability in whole percent, never a certainty."""
    if not math.isfinite(probability):
        return "not a number"
    if probability < 0.01:
        return "<1\N{NO-BREAK SPACE}%"
    return f"{100 * probability:.0f}\N{NO-BREAK SPACE}%" if probability <= 0.99 else ">99\N{NO-BREAK SPACE}%"


def measured(value: float, unit: str) -> str:
    """A volume in ml, with a decimal more under 10 ml and none for nothing; a fraction with three."""
    if unit == "1":
        return number(value, 3)
    if value == 0:
        return "0"
    return number(value, 1 if abs(value) >= 10 else 2)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
