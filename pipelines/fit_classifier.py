"""Fit the classifier of findings on synthetic cases and put it into a bundle.

  python -m pipelines.fit_classifier --bundle B --label-maps MAPS.npz --lesion-shapes FOLDER --cache FOLDER

The trunk's features of each case are kept in the cache under the digest of the trunk, so that a run which was cut short
goes on, and another posterior of the same trunk costs seconds.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import bundle as files
from models.classify import Classifier, fit_classifier
from models.label_maps import read_label_maps
from models.predictive import augment, cell_probability
from models.runtime import Runner, make_runner
from models.synthesis import read_lesion_shapes
from pipelines.descriptors import describe
from pipelines.finding_cases import FindingCase, draw_case
from pipelines.labelled import features_folder
from pipelines.preprocess import conform
from triage.anatomy import TISSUES
from triage.case import Volume
from triage.errors import Refusal
from triage.findings import FINDINGS

Draw = Callable[[str, np.random.Generator], FindingCase]
KEYS = tuple(f.key for f in FINDINGS)
FOLDS = 5
SAMPLES = 256
PRECISIONS = tuple(product((0.1, 1.0, 10.0), (1.0, 10.0, 100.0, 1000.0)))
"""Of the prior: of the facts' weights, of the pooled features'."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Described:
    """n cases. descriptors: (n, D) float32. classes: (n,) int64, index into FINDINGS. subjects: (n,) label maps.

    n_facts: how many of the descriptors are facts of anatomy; the rest are pooled features.
    """

    descriptors: Tensor
    classes: Tensor
    subjects: tuple[str, ...]
    n_facts: int


def main() -> None:
    """Draw what the cache lacks, fit, write, seal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--label-maps", type=Path, required=True)
    parser.add_argument("--lesion-shapes", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = files.load_bundle(args.bundle)
    _, runner = make_runner(model.trunk)
    folder = features_folder(args.cache, model.trunk)
    draw = drawing(args.label_maps, args.lesion_shapes)
    paths = draw_features(folder, args.cases, draw, runner, args.seed)
    described = describe_cases(paths, model.posterior.mean, model.temperature)
    scores = {choice: cross_validated(described, *choice) for choice in PRECISIONS}
    for choice, (nll, accuracy) in scores.items():
        print(f"precision {choice}: NLL {nll:.3f}, accuracy {accuracy:.3f}")
    best = min(PRECISIONS, key=lambda choice: scores[choice][0])
    nll, accuracy = scores[best]
    install(
        args.bundle,
        fit(described, *best),
        {
            "cases": len(described.classes),
            "label_maps": len(set(described.subjects)),
            "precision_facts": best[0],
            "precision_features": best[1],
            "held_out_nll": round(nll, 4),
            "held_out_accuracy": round(accuracy, 4),
        },
    )
    print(f"precision {best}; bundle {files.seal(args.bundle)}")


def drawing(label_maps: Path, lesion_shapes: Path) -> Draw:
    """Cases from these label maps and lesions."""
    maps, shapes = list(read_label_maps(label_maps)), read_lesion_shapes(lesion_shapes)
    return lambda finding, rng: draw_case(finding, maps, shapes, rng)


def draw_features(folder: Path, n: int, draw: Draw, runner: Runner, seed: int) -> Iterator[Path]:
    """The kept features of n cases, the findings in turn; each is drawn from a seed of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        path = folder / f"{seed}-{number:04d}.npz"
        if not path.is_file():
            start = time.perf_counter()
            finding = KEYS[number % len(KEYS)]
            rng = np.random.default_rng((seed, number))
            case = draw(finding, rng)
            try:
                keep(path, trunk_features(case.volume, runner), finding=finding, subject=case.subject)
            except Refusal:  # such as a head that was cropped to nothing: refused inputs are not classified
                continue
            print(f"case {number + 1}/{n} {finding}, {time.perf_counter() - start:.1f} s", flush=True)
        yield path


def trunk_features(volume: Volume, runner: Runner) -> Tensor:
    """(F, I, J, K) of every second cell, as the engine describes a case. Raises Refusal when there is no head."""
    return runner(torch.from_numpy(conform(volume).image))[:, ::2, ::2, ::2]


def keep(path: Path, features: Tensor, **facts: str) -> None:
    """Features in half precision with what is known of them, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    np.savez(unfinished, features=features.numpy().astype(np.float16), **facts)  # type: ignore[arg-type]
    unfinished.rename(path)


def kept_features(path: Path, volume: Callable[[], Volume], runner: Runner) -> Tensor:
    """`trunk_features` of a volume, computed once."""
    if not path.is_file():
        keep(path, trunk_features(volume(), runner))
    with np.load(path) as kept:
        return torch.from_numpy(kept["features"].astype(np.float32))


def describe_cases(paths: Iterable[Path], head: Tensor, temperature: float) -> Described:
    """Descriptors of kept features under a head (8 C, F + 1), divided by the temperature."""
    rows, classes, subjects, n_features = [], [], [], 0
    for path in paths:
        with np.load(path) as kept:
            features = torch.from_numpy(kept["features"].astype(np.float32))
            classes.append(KEYS.index(str(kept["finding"])))
            subjects.append(str(kept["subject"]))
        probability = cell_probability(augment(features), head, temperature=temperature)
        probability = probability.view(-1, *features.shape[1:])
        rows.append(describe(features, probability))
        n_features = len(features)
    descriptors = torch.stack(rows)
    return Described(
        descriptors=descriptors,
        classes=torch.tensor(classes),
        subjects=tuple(subjects),
        n_facts=descriptors.shape[1] - len(TISSUES) * n_features,
    )


def fit(cases: Described, facts: float, features: float, chosen: Tensor | None = None) -> Classifier:
    """The classifier of the chosen cases, all unless told. facts, features: precision of the prior of their weights."""
    precision = torch.full((cases.descriptors.shape[1],), features)
    precision[: cases.n_facts] = facts
    which = torch.arange(len(cases.classes)) if chosen is None else chosen
    return fit_classifier(cases.descriptors[which], cases.classes[which], len(KEYS), precision)


def held_out(cases: Described, facts: float, features: float) -> Tensor:
    """(n, K) probability of every case by a classifier that saw no case of its label map."""
    names = sorted(set(cases.subjects))
    fold = torch.tensor([names.index(s) % FOLDS for s in cases.subjects])
    out = torch.zeros(len(fold), len(KEYS), dtype=torch.float64)
    for number in range(FOLDS):
        classifier = fit(cases, facts, features, (fold != number).nonzero().squeeze(1))
        for row in (fold == number).nonzero().squeeze(1).tolist():
            out[row] = classifier.sample(cases.descriptors[row], SAMPLES, seed=0).mean(dim=0)
    return out


def cross_validated(cases: Described, facts: float, features: float) -> tuple[float, float]:
    """Mean negative log likelihood, nats, and accuracy on label maps that were held out."""
    p = held_out(cases, facts, features)
    nll = -p[torch.arange(len(p)), cases.classes].log().mean()
    return float(nll), float((p.argmax(dim=1) == cases.classes).double().mean())


def install(folder: Path, classifier: Classifier, made: Mapping[str, float]) -> None:
    """Write the classifier into the bundle's folder, that it has one and how it was made; not yet sealed."""
    files.write_tensors(folder / files.CLASSIFIER, classifier.state)
    path = folder / files.METADATA
    metadata = json.loads(path.read_text())
    metadata["brain_triage"] |= {"findings": list(KEYS), "findings_fit": dict(made)}
    files.write_metadata(path, metadata)


if __name__ == "__main__":
    main()
