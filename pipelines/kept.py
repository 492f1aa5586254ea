"""What takes long is kept as a JSON file, and read again the next time."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What was made before, from its JSON file; else it is made now and written there, whole or not at all."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_text(json.dumps(finite(make()), allow_nan=False))
        unfinished.replace(path)
    return json.loads(path.read_text())


def finite(value: Any) -> Any:
    """The same figures with None for what is no number, which JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None) -> float:
    """A figure that `finite` wrote: None was no number."""
    return math.nan if value is None else float(value)
