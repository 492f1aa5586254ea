"""Single values of a header, checked: a number is finite, a text is plain, and an error names the attribute only."""

import math

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from triage.dicom.file_meta import invalid


def text(dataset: Dataset, keyword: str) -> str:
    """The value as text, the first of several, upper case and stripped; "" when it is absent."""
    values = texts(dataset, keyword)
    return values[0] if values else ""


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of a multi-valued text, upper case and stripped; empty when absent."""
    try:
        value = dataset.get(keyword)
    except Exception:  # a value that cannot be converted says nothing
        return ()
    if value is None or value == "":
        return ()
    values = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
    return tuple(str(item).strip().upper() for item in values)


def raw_text(dataset: Dataset, keyword: str) -> str:
    """The bytes of an identifier as Latin-1: equal if and only if the bytes are, whatever the character set says."""
    try:
        element = dataset.get_item(keyword)
    except KeyError:
        return ""
    value = element.value if element is not None else b""
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        return value.rstrip(b"\0 ").lstrip(b" ").decode("latin-1")
    return str(value or "").strip()


def integer(dataset: Dataset, keyword: str, *, default: int | None = None) -> int:
    """A whole number; `default` when absent, and without a default a Refusal."""
    value = number(dataset, keyword)
    if value is None:
        if keyword in dataset or default is None:
            raise invalid(f"{keyword} is missing or no valid number.")
        return default
    if value != int(value):
        raise invalid(f"{keyword} is missing or no valid number.")
    return int(value)


def number(dataset: Dataset, keyword: str) -> float | None:
    """A finite number, None when it is absent, empty or no number; the first of several."""
    values = numbers(dataset, keyword)
    return values[0] if values else None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers; empty when absent or when one of them is no finite number."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return ()
        values = tuple(float(item) for item in (value if hasattr(value, "__iter__") else [value]))
    except Exception:  # "1,5", or worse
        return ()
    return values if all(math.isfinite(item) for item in values) else ()
