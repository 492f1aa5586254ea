"""Why a reviewer cannot do what was asked; each is shown to the reviewer as it is."""

from triage.errors import TriageError


class NotAllowed(TriageError):  # noqa: N818  what happened, in a reviewer's words
    """The account is not active, or its role may not do this."""


class NotFound(TriageError):  # noqa: N818
    """There is no such case, correction, account or link."""


class Taken(TriageError):  # noqa: N818
    """Another reviewer has the case in hand, or this one has read it already."""


class Outdated(TriageError):  # noqa: N818
    """The case was decided, or a newer decision of the model took its place, while it was open on the screen."""


class Incomplete(TriageError):  # noqa: N818
    """A verdict without its coded reason or its correction."""
