"""Text from headers and files made safe to show: nothing in it acts, and everything in it is seen."""

import unicodedata

_ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that act instead of showing: control, bidirectional and other format characters, separators."""


def visible(text: str) -> str:
    """The text with every acting character as its escape, `\\x1b` or `\\u202e`; what looks harmless then is."""
    return "".join(_escape(c) if unicodedata.category(c) in _ACTING else c for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
