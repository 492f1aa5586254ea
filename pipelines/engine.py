"""The engine: a volume in, a prediction out. Numpy and floats cross the border to the domain here, never a tensor."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from models.bundle import Bundle, BundleError, load_bundle
from models.density import pool
from models.posteriors.gaussian import GaussianPosterior
from models.predictive import Predictive, augment, cell_probability, predict, unfold
from models.priors.atlas import Atlas
from models.priors.effect import prior_effect
from models.priors.fusion import log_bayes_factor, prior_ratio
from models.priors.pose import EFFECTIVE_VOXELS, Pose, find_pose
from models.runtime import Runner, make_runner
from pipelines.descriptors import describe
from pipelines.preprocess import Conformed, conform, to_scanner_grid
from triage.anatomy import BRAIN, N_CLASSES, STRUCTURES, TISSUES
from triage.case import Volume
from triage.errors import TriageError
from triage.findings import FINDINGS
from triage.verdict import BundleId, Prediction, PriorEffect, Step

SAMPLES = 32
FINDING_SAMPLES = 256
EDGE_MM = 2
BRAIN_CLASSES = torch.tensor([c in BRAIN for c in range(N_CLASSES)])
"""(C,) bool, classes over which brain means are taken."""
DEVICES: Mapping[str, str] = {"auto": "auto", "cpu": "openvino", "reference": "torch", "cuda": "cuda"}
"""Name in the settings -> runner of the trunk."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnatomyAtPose:
    """ratio: (H, N) prior ratio at the cells. conflict: (X, Y, Z) nats at 1 mm.

    log_bayes_factor: nats a brain voxel, this pose against an unknown one. weight: what that gives the pose, [0, 1].
    """

    ratio: Tensor
    conflict: NDArray[np.float32]
    log_bayes_factor: float
    weight: float


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
        self, features: Tensor, conformed: Conformed, volume: Volume, *, seed: int, clock: "Clock | None" = None
    ) -> Prediction:
        """All after the network. features: (F, I, J, K) of the conformed volume, as the runner gives them."""
        clock = clock or Clock()
        grid = (features.shape[1], features.shape[2], features.shape[3])
        cells = augment(features)
        with clock("pose"):
            pose, coarse, coarse_affine = self.locate(features, conformed)
        with clock("prior"):
            anatomy = self.anatomy(coarse, coarse_affine, pose, grid, conformed)
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
            scanner_labels = to_scanner_grid(labels, conformed.affine, volume, order=0)
            scanner_entropy = to_scanner_grid(entropy, conformed.affine, volume, order=1)
        thin = features[:, ::2, ::2, ::2].reshape(len(features), -1)
        pooled = pool(thin, coarse.reshape(len(coarse), -1), list(TISSUES.values()))
        return Prediction(
            affine=conformed.affine,
            mni_affine=pose.affine,
            image=conformed.image,
            labels=labels,
            entropy=entropy,
            expected_entropy=unfold(result.expected_entropy, grid).numpy(),
            conflict=anatomy.conflict,
            volumes_mm3=result.volumes.numpy(),
            pairwise_dice=result.pairwise_dice,
            finding_samples=self._finding_samples(features, coarse, seed),
            feature_distance=self.model.density.distance(pooled),
            pooled_features=pooled.double().numpy(),
            atlas_log_bayes_factor=anatomy.log_bayes_factor,
            prior_effect=self._prior_effect(features, anatomy.ratio),
            quality=_quality(conformed, volume, labels),
            scanner_labels=scanner_labels.astype(np.uint8),
            scanner_entropy=scanner_entropy.astype(np.float32),
            scanner_affine=volume.affine,
            seed=seed,
            steps=self._steps(conformed, pose, anatomy, result),
            timings_s=clock.seconds,
        )

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
        """The atlas at this pose and its conflict with the likelihood. A doubtful pose falls back to the blurred atlas.

        The weight of the pose is the sigmoid of its log Bayes factor against the atlas blurred over poses.
        """
        model = self.model
        here = pose.affine @ coarse_affine
        known, unknown = (atlas.on_grid(coarse.shape[1:], here) for atlas in (model.atlas, self.unknown_pose))
        gain = log_bayes_factor(coarse, known, unknown, model.training_prior)
        brain = coarse[list(BRAIN)].sum(dim=0) > 0.5
        factor = float(gain[brain].mean()) if bool(brain.any()) else math.nan
        weight = 0.0 if math.isnan(factor) else float(expit(EFFECTIVE_VOXELS * factor))
        cell_affine = pose.affine @ coarser(conformed.affine, 2, centre=0.5)
        atlas = weight * model.atlas.on_grid(grid, cell_affine) if weight > 1e-3 else torch.zeros(())
        if weight < 1 - 1e-3:
            atlas = atlas + (1 - weight) * self.unknown_pose.on_grid(grid, cell_affine)
        ratio = prior_ratio(atlas.reshape(len(model.training_prior), -1), model.training_prior, model.beta)
        ratio *= model.class_weight[:, None]
        fine = functional.interpolate(-gain[None, None], size=conformed.image.shape, mode="trilinear")
        # Coarse voxel c lies at 4 c + 0.5 of the conformed grid; interpolate puts it at 4 c + 1.5.
        conflict = functional.pad(fine, (0, 1) * 3, mode="replicate")[0, 0, 1:, 1:, 1:].contiguous()
        return AnatomyAtPose(ratio=ratio, conflict=conflict.numpy(), log_bayes_factor=factor, weight=weight)

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

    def _steps(self, conformed: Conformed, pose: Pose, anatomy: AnatomyAtPose, result: Predictive) -> tuple[Step, ...]:
        shape = "x".join(str(n) for n in conformed.image.shape)
        return (
            Step(name="conform", parameters={"spacing_mm": 1.0, "orientation": "RAS+", "shape": shape}),
            Step(name="network", parameters={"runtime": self.device, "threads": torch.get_num_threads()}),
            Step(
                name="pose",
                parameters={
                    "method": "map_affine",
                    "log_posterior": round(pose.log_posterior, 3),
                    "determinant": round(float(np.linalg.det(pose.affine[:3, :3])), 4),
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


def _quality(conformed: Conformed, volume: Volume, labels: NDArray[np.uint8]) -> dict[str, float]:
    """Facts of the input. edge_contact_cm2: brain on the edge of the field of view, where the image was cut off."""
    inside = labels[tuple(slice(n) for n in conformed.extent)] >= min(BRAIN)
    contact = 0
    for end, cut in enumerate(conformed.cut):
        axis, last = divmod(end, 2)
        face = np.take(inside, -EDGE_MM if last else EDGE_MM - 1, axis=axis)
        contact += int(face.sum()) if cut else 0
    return {
        "snr": conformed.snr,
        "edge_contact_cm2": contact / 100,
        "largest_spacing_mm": max(volume.spacing_mm),
        "brain_ml": float(inside.sum()) / 1000,
    }
