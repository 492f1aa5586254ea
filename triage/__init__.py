"""The domain of brain-triage: cases, verdicts, the gate, the queue and the report. Numpy only, no tensors."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("brain-triage")
except PackageNotFoundError:  # a source tree on the path without an installation
    __version__ = "0+source"

NOT_FOR_CLINICAL_USE = "Research use only. Not a medical device; not for diagnosis or treatment."
