"""Errors say what is wrong, where, and what to do; never a name, an id, a date or a path of the input."""

from enum import StrEnum


class TriageError(Exception):
    """Base of every error that a user can act on."""

    def __init__(self, message: str, *, do: str) -> None:
        super().__init__(message)
        self.message = message
        self.do = do

    def __str__(self) -> str:
        return f"{self.message} {self.do}"


class Code(StrEnum):
    """Why an input could not become a decided case. Published in report.json: a code is never renamed."""

    NOT_DICOM = "NOT_DICOM"
    TRUNCATED = "TRUNCATED"
    NOT_A_REGULAR_FILE = "NOT_A_REGULAR_FILE"
    ARCHIVE = "ARCHIVE"
    CHANGED_WHILE_READING = "CHANGED_WHILE_READING"
    HEADER_LIMIT = "HEADER_LIMIT"
    HEADER_INVALID = "HEADER_INVALID"
    TS_UNSUPPORTED = "TS_UNSUPPORTED"
    DECODE_LIMIT = "DECODE_LIMIT"
    DECODE_FAIL = "DECODE_FAIL"
    UID_CONFLICT = "UID_CONFLICT"
    PATIENT_CONFLICT = "PATIENT_CONFLICT"
    DUPLICATE_POSITION = "DUPLICATE_POSITION"
    GEOMETRY = "GEOMETRY"
    MISSING_SLICE = "MISSING_SLICE"
    NONUNIFORM = "NONUNIFORM"
    SHEAR = "SHEAR"
    COVERAGE = "COVERAGE"
    NOT_T1_VOLUME = "NOT_T1_VOLUME"
    NOT_MR = "NOT_MR"
    BAD_VALUES = "BAD_VALUES"
    BURNED_IN = "BURNED_IN"
    NIFTI_INVALID = "NIFTI_INVALID"
    INTERNAL = "INTERNAL"


class Refusal(TriageError):  # noqa: N818  the domain's word: an input is refused, and goes to a human with its code
    """An input that cannot be read as a brain volume. It becomes a refused case, never a lost one."""

    def __init__(self, code: Code, message: str, *, do: str) -> None:
        super().__init__(message, do=do)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:  # crosses the border of the decoding process
        return (_refusal, (self.code, self.message, self.do))


def _refusal(code: Code, message: str, do: str) -> Refusal:
    return Refusal(code, message, do=do)
