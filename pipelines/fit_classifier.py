"""Fit the classifier of findings on synthetic cases and put it into a bundle.

  python -m pipelines.fit_classifier --bundle B --label-maps MAPS.npz --lesion-shapes FOLDER --cache FOLDER

The trunk's features of each case are kept in the cache under the digest of the trunk, so that a run which was cut short
goes on, and another posterior of the same trunk costs seconds.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import bundle as files
from models.classify import Classifier, fit_classifier
from models.label_maps import read_label_maps
from models.network import Trunk
from models.predictive import augment, cell_probability
from models.runtime import Runner, make_runner
from models.synthesis import read_lesion_shapes
from pipelines.descriptors import describe
from pipelines.finding_cases import FindingCase, draw_case
from pipelines.preprocess import conform
from triage.anatomy import TISSUES
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
    folder = args.cache / trunk_digest(model.trunk)[:12]
    draw = drawing(args.label_maps, args.lesion_shapes)
    paths = draw_features(folder, args.cases, draw, runner, args.seed)
    described = describe_cases(paths, model.posterior.mean)
    scores = {choice: cross_validated(described, *choice) for choice in PRECISIONS}
    for choice, (nll, accuracy) in scores.items():
        print(f"precision {choice}: NLL {nll:.3f}, accuracy {accuracy:.3f}")
    best = min(PRECISIONS, key=lambda choice: scores[choice][0])
    install(args.bundle, fit(described, *best))
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
                image = conform(case.volume).image
            except Refusal:  # such as a head that was cropped to nothing: refused inputs are not classified
                continue
            thin = runner(torch.from_numpy(image))[:, ::2, ::2, ::2]
            unfinished = path.with_suffix(".unfinished.npz")
            np.savez(unfinished, features=thin.numpy().astype(np.float16), finding=finding, subject=case.subject)
            unfinished.rename(path)
            print(f"case {number + 1}/{n} {finding}, {time.perf_counter() - start:.1f} s", flush=True)
        yield path


def describe_cases(paths: Iterator[Path], head: Tensor) -> Described:
    """Descriptors of kept features under a head (8 C, F + 1)."""
    rows, classes, subjects, n_features = [], [], [], 0
    for path in paths:
        with np.load(path) as kept:
            features = torch.from_numpy(kept["features"].astype(np.float32))
            classes.append(KEYS.index(str(kept["finding"])))
            subjects.append(str(kept["subject"]))
        probability = cell_probability(augment(features), head).view(-1, *features.shape[1:])
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


def install(folder: Path, classifier: Classifier) -> None:
    """Write the classifier into the bundle's folder, and that it has one; not yet sealed."""
    files.write_tensors(folder / files.CLASSIFIER, classifier.state)
    path = folder / files.METADATA
    metadata = json.loads(path.read_text())
    metadata["brain_triage"]["findings"] = list(KEYS)
    files.write_metadata(path, metadata)


def trunk_digest(trunk: Trunk) -> str:
    """SHA-256 over the trunk's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(trunk.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
