"""Templates in which nothing acts, for the report and for the review pages."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from triage.report.text import as_shown, measured, number, percent


def templates_of(package: str) -> Environment:
    """The templates of a package: all that they show is escaped and visible, and a name that is not there an error."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=as_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "measured": measured, "percent": percent}
    return environment
