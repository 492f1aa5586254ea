"""What a retraining says on the command line."""

from dataclasses import asdict
from typing import Any

from pipelines.retrain import Retrained
from triage.verdict import BundleId


def as_json(found: Retrained) -> dict[str, Any]:
    """All of it, JSON-ready."""
    return asdict(found)


def as_text(found: Retrained) -> str:
    """In a few lines."""
    bundle: BundleId = found.bundle
    head = found.stages["head"]["metrics"]
    system = [stage["system"] for stage in found.stages.values()]
    seconds = (sum(s[key] for s in system) for key in ("wall_seconds", "cpu_seconds"))
    lines = [
        f"Bundle {bundle.name} {bundle.version} {bundle.digest[:12]}",
        f"{found.train} corrections taught, {found.tune} were only looked at"
        + "".join(f"; left out: {n} {why}" for why, n in found.left_out.items()),
        *(
            f"Dice with the reviewers' labels, {words}: {head[f'dice.{split}.before']:.3f} before, "
            f"{head[f'dice.{split}.after']:.3f} after"
            for split, words in (("train", "corrections that taught"), ("tune", "corrections that did not"))
            if f"dice.{split}.before" in head
        ),
        "{:.0f} s, {:.0f} CPU seconds".format(*seconds),
        found.promise,
        *([f"MLflow run {found.run_id}"] if found.run_id else []),
    ]
    return "\n".join(lines)
