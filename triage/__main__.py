"""`python -m triage` is the command `brain-triage`, once the three packages are found to lie side by side."""

import importlib
import importlib.util
import sys
from pathlib import Path

PACKAGES = ("triage", "models", "pipelines")
HOME = Path(__file__).resolve().parent.parent


def shadowed(packages: tuple[str, ...] = PACKAGES, home: Path = HOME) -> str | None:
    """What stands in the way: a package of ours that is missing, or another one of its name that Python finds first."""
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return f"The package `{name}` is not installed beside `triage` in {home}. Install brain-triage again."
        if Path(spec.origin).resolve().parent != home / name:
            return (
                f"Another package named `{name}` hides ours: {Path(spec.origin).parent} is found before {home / name}. "
                f"Run from another folder, or install brain-triage in an environment of its own."
            )
    return None


def main() -> int:
    """Check, then hand over. The import is by name: the domain does not know the pipelines."""
    if (complaint := shadowed()) is not None:
        print(f"brain-triage: {complaint}", file=sys.stderr)
        return 1
    return int(importlib.import_module("pipelines.cli").main())


if __name__ == "__main__":
    sys.exit(main())
