"""numba's compiler, and where what it made is kept for the next process.

numba takes a kept function up again when its own file is as it was, whatever became of the functions that it calls from
other files, so what is kept lies in a folder named by the sources of this whole package.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])
HERE = Path(__file__).parent
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "reassoc", "arcp", "nsz"},  # but for what is not a number, which must stay so
    "error_model": "numpy",
}


def cache_folder(sources: Iterable[Path], parents: Sequence[Path]) -> Path | None:
    """The folder of these very sources, in the first parent that can be written."""
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.name.encode() + path.read_bytes())
    for parent in parents:
        folder = parent / f"compiled-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def _parents() -> list[Path]:
    parents = [HERE / "__pycache__"]
    with suppress(RuntimeError):  # a user without a home
        parents.append(Path.home() / ".cache" / "brain-triage")
    return parents


FOLDER = cache_folder(HERE.glob("*.py"), _parents())


def compiled(function: Function, folder: Path | None = FOLDER) -> Function:
    """The function, compiled at its first call, without the global lock. folder: None to compile in every process."""
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder or "")
    try:
        fast: Function = numba.njit(cache=folder is not None, **OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before
    return fast
