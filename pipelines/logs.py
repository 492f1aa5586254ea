"""The log of a run: JSON lines, one an event, pseudonyms only."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from triage.errors import TriageError
from triage.report.text import visible


@contextmanager
def open_log(path: Path) -> Iterator[FilteringBoundLogger]:
    """A logger that appends to a file; each line reaches it at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise TriageError(
            f"The log {path} cannot be written ({type(error).__name__}).", do="Check the rights of the state folder."
        ) from error
    with file:
        yield structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _shown,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )


def noted_heads(path: Path) -> tuple[str, ...]:
    """The heads of the audit trail that runs logged, oldest first; a line that a kill cut short holds none."""
    if not path.is_file():
        return ()
    heads = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError, KeyError, TypeError):
                heads.append(str(json.loads(line)["audit_head"]))
    return tuple(heads)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence what libraries say on their own: their warnings and log lines quote header values."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _shown(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Text with its control and bidirectional characters as escapes, so that an event is one harmless line."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}
