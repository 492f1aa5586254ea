"""The engine: a volume in, a prediction out. Numpy and floats cross the border to the domain here, never a tensor."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bundle import Bundle, BundleError, load_bundle
from models.density import pool
from models.posteriors.gaussian import GaussianPosterior
from models.predictive import Predictive, augment, cell_probability, predict, unfold
from models.priors.atlas import Atlas
from models.priors.effect import prior_effect
from models.priors.pose import Pose, find_pose
from models.runtime import Runner, make_runner
from pipelines.anatomy_at_pose import AnatomyAtPose, anatomy_at
from pipelines.descriptors import describe
from pipelines.grids import labels_on_grid, to_scanner_grid
from pipelines.input_quality import input_quality
from pipelines.preprocess import Conformed, conform
from triage.anatomy import BRAIN, N_CLASSES, STRUCTURES, TISSUES
from triage.case import Volume
from triage.errors import TriageError
from triage.findings import FINDINGS
from triage.prediction import Prediction, PriorEffect, Step
from triage.verdict import BundleId

SAMPLES = 32
FINDING_SAMPLES = 256
BRAIN_CLASSES = torch.tensor([c in BRAIN for c in range(N_CLASSES)])
"""(C,) bool, classes over which brain means are taken."""
DEVICES: Mapping[str, str] = {"auto": "auto", "cpu": "openvino", "reference": "torch", "cuda": "cuda"}
"""Name in the settings -> runner of the trunk."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BundleEngine:
    """A bundle ready to predict. `predict` is deterministic given the volume and the seed."""

    model: Bundle
    runner: Runner
    device: str
    unknown_pose: Atlas
    samples: int = SAMPLES
    bundle: BundleId = field(init=False)

    def __post_init__(self) -> None:
        identity = BundleId(name=self.model.name, version=self.model.version, digest=self.model.digest)
        object.__setattr__(self, "bundle", identity)

    def predict(self, volume: Volume, *, seed: int) -> Prediction:
        """Conform, features, pose, prior, posterior predictive, back to the scanner's grid."""
        clock = Clock()
        with clock("conform"):
            conformed = conform(volume)
        with clock("network"):
            features = self.runner(torch.from_numpy(conformed.image))
        return self.infer(features, conformed, volume, seed=seed, clock=clock)

    def infer(
        self,
        features: Tensor,
        conformed: Conformed,
        volume: Volume,
        *,
        seed: int,
        anatomy: AnatomyAtPose | None = None,
        clock: "Clock | None" = None,
    ) -> Prediction:
        """All after the network. features: (F, I, J, K) of the conformed volume, as the runner gives them.

        anatomy: what `find_anatomy` gave for them, where somebody has asked before.
        """
        clock = clock or Clock()
        grid = (features.shape[1], features.shape[2], features.shape[3])
        cells = augment(features)
        anatomy = anatomy or self.find_anatomy(features, conformed, clock)
        with clock("posterior"):
            posterior = self.model.posterior
            heads = posterior.sample(self.samples, seed=seed)
            law = posterior if isinstance(posterior, GaussianPosterior) else None
            result = predict(
                cells,
                posterior.mean,
                heads,
                anatomy.ratio,
                BRAIN_CLASSES,
                temperature=self.model.temperature,
                law=law,
                seed=seed,
            )
        with clock("scanner_grid"):
            labels = unfold(result.labels, grid).numpy()
            entropy = unfold(result.entropy, grid).numpy()
            scanner_labels = labels_on_grid(labels, entropy, conformed.affine, volume.affine, volume.array.shape)
            scanner_entropy = to_scanner_grid(entropy, conformed.affine, volume)
        thin = features[:, ::2, ::2, ::2].reshape(len(features), -1)
        pooled = pool(thin, anatomy.coarse.flatten(1), list(TISSUES.values()))
        return Prediction(
            affine=conformed.affine,
            mni_affine=anatomy.pose.affine,
            image=conformed.image,
            labels=labels,
            entropy=entropy,
            expected_entropy=unfold(result.expected_entropy, grid).numpy(),
            conflict=anatomy.conflict,
            volumes_mm3=result.volumes.numpy(),
            pairwise_dice=result.pairwise_dice,
            finding_samples=self._finding_samples(features, anatomy.coarse, seed),
            feature_distance=self.model.density.distance(pooled),
            pooled_features=pooled.double().numpy(),
            atlas_log_bayes_factor=anatomy.log_bayes_factor,
            prior_effect=self._prior_effect(features, anatomy.ratio),
            quality=input_quality(conformed, volume, labels),
            scanner_labels=scanner_labels,
            scanner_entropy=scanner_entropy.astype(np.float32),
            scanner_affine=volume.affine,
            seed=seed,
            steps=self._steps(conformed, anatomy, result),
            timings_s=clock.seconds,
        )

    def find_anatomy(self, features: Tensor, conformed: Conformed, clock: "Clock | None" = None) -> AnatomyAtPose:
        """What anatomy expects where, at the pose of the head."""
        clock = clock or Clock()
        grid = (features.shape[1], features.shape[2], features.shape[3])
        with clock("pose"):
            pose, coarse, coarse_affine = self.locate(features, conformed)
        with clock("prior"):
            return self.anatomy(coarse, coarse_affine, pose, grid, conformed)

    def locate(self, features: Tensor, conformed: Conformed) -> tuple[Pose, Tensor, NDArray[np.float64]]:
        """The pose, and what it was found on: class probability of every second cell, and the affine of that grid.

        The probability is (C, I/2, J/2, K/2), its cells about 4 mm apart; the affine maps their index to RAS+ mm.
        """
        thin = features[:, ::2, ::2, ::2]
        model = self.model
        probability = cell_probability(augment(thin), model.posterior.mean, temperature=model.temperature)
        coarse = probability.view(-1, *thin.shape[1:])
        affine = coarser(conformed.affine, 4, centre=0.5)
        return find_pose(coarse[:-1], affine, model.atlas), coarse, affine

    def anatomy(
        self,
        coarse: Tensor,
        coarse_affine: NDArray[np.float64],
        pose: Pose,
        grid: tuple[int, int, int],
        conformed: Conformed,
    ) -> AnatomyAtPose:
        """The atlas at this pose and its conflict with the likelihood, see `pipelines.anatomy_at_pose`.

        coarse, coarse_affine, pose: as `locate` gives them. grid: of the cells.
        """
        cell_affine = coarser(conformed.affine, 2, centre=0.5)
        return anatomy_at(pose, coarse, coarse_affine, grid, cell_affine, model=self.model, unknown=self.unknown_pose)

    def _prior_effect(self, features: Tensor, ratio: Tensor) -> PriorEffect:
        """On every second cell along each axis, one voxel of eight."""
        here = ratio.view(-1, *features.shape[1:])[:, ::2, ::2, ::2].reshape(len(ratio), -1)
        thin = augment(features[:, ::2, ::2, ::2])
        head, temperature = self.model.posterior.mean, self.model.temperature
        effect = prior_effect(thin, head, here, self.model.class_weight[:, None], temperature=temperature).numpy()
        return PriorEffect(voxels=effect[0], relabelled=effect[1], entropy_before=effect[2], entropy_after=effect[3])

    def _finding_samples(self, features: Tensor, coarse: Tensor, seed: int) -> NDArray[np.float64]:
        classifier = self.model.classifier
        if classifier is None:
            return np.zeros((0, len(FINDINGS)))
        descriptors = describe(features[:, ::2, ::2, ::2], coarse)
        return np.asarray(classifier.sample(descriptors, FINDING_SAMPLES, seed=seed).numpy())

    def _steps(self, conformed: Conformed, anatomy: AnatomyAtPose, result: Predictive) -> tuple[Step, ...]:
        shape = "x".join(str(n) for n in conformed.image.shape)
        return (
            Step(name="conform", parameters={"spacing_mm": 1.0, "orientation": "RAS+", "shape": shape}),
            Step(name="network", parameters={"runtime": self.device, "threads": torch.get_num_threads()}),
            Step(
                name="pose",
                parameters={
                    "method": "map_affine",
                    "log_posterior": round(anatomy.pose.log_posterior, 3),
                    "determinant": round(float(np.linalg.det(anatomy.pose.affine[:3, :3])), 4),
                },
            ),
            Step(name="prior", parameters={"beta": self.model.beta, "weight": round(anatomy.weight, 4)}),
            Step(
                name="posterior",
                parameters={
                    "method": self.model.method,
                    "samples": self.samples,
                    "sampled_fraction": round(result.sampled, 4),
                },
            ),
        )


def load_engine(folder: Path, *, device: str = "auto", samples: int = SAMPLES) -> BundleEngine:
    """The engine of a bundle folder. device: a key of DEVICES. Raises TriageError when the bundle must not be used."""
    try:
        model = load_bundle(folder)
    except BundleError as error:
        raise TriageError(str(error), do="No case was decided.") from error
    expected = ("background", *(s.key for s in STRUCTURES))
    if model.classes != expected:
        raise TriageError(
            f"The bundle's classes {model.classes} are not those of this program, {expected}.",
            do="Use a bundle made for this version.",
        )
    if model.findings not in ((), tuple(f.key for f in FINDINGS)):
        raise TriageError(
            f"The bundle's findings {model.findings} are not those of this program.",
            do="Fit the classifier again with this version.",
        )
    name, runner = make_runner(model.trunk, DEVICES[device])
    return BundleEngine(model=model, runner=runner, device=name, unknown_pose=model.atlas.blurred(), samples=samples)


class Clock:
    """Seconds of each stage of one case."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start


def coarser(affine: NDArray[np.float64], step: int, *, centre: float) -> NDArray[np.float64]:
    """Affine of a grid of every step-th voxel whose first point lies at index `centre` of the finer grid."""
    out = affine @ np.diag([step, step, step, 1.0])
    out[:3, 3] = (affine @ [centre, centre, centre, 1.0])[:3]
    return np.asarray(out)
