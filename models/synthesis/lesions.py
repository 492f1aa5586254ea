"""What can be ill with a head: each finding is a function from a healthy head to an ill one."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from models.synthesis.blur import softened
from models.synthesis.draws import Draws
from models.synthesis.head import FLUID, GLIOSIS, RIM, SOLID, Head
from models.synthesis.recipe import Finding
from models.synthesis.shapes import LesionShape, of_kind, placed

CSF, CORTEX, WHITE, DEEP, HIPPOCAMPUS, VENTRICLES, MIDLINE_VENTRICLES = 1, 2, 3, 4, 5, 6, 7
CEREBRUM = (CORTEX, WHITE, DEEP, HIPPOCAMPUS)
BRAIN = (*CEREBRUM, 8, 9, 10)

Shapes = Sequence[LesionShape]
FindingFunction = Callable[[Head, Draws, Shapes], Head]


def normal(head: Head, draws: Draws, shapes: Shapes) -> Head:
    """As it is."""
    return head


def white_matter_lesions(head: Head, draws: Draws, shapes: Shapes) -> Head:
    """Caps and bands around the ventricles that break up into spots further out, or the shapes of one patient."""
    tissue = head.tissue
    allowed = tissue == WHITE
    real = of_kind(shapes, "white_matter_lesions")
    lesion = torch.zeros_like(allowed)
    if real and draws.chance(0.5):
        lesion = placed(real[draws.below(len(real))], head, draws)
        allowed = allowed | ((tissue == DEEP) & draws.chance(0.3))
    if not bool((lesion & allowed).any()) or draws.chance(0.3):
        lesion = lesion | _spotted(head, tissue, draws)
    return head.painted(GLIOSIS, lesion & allowed)


def stroke(head: Head, draws: Draws, shapes: Shapes) -> Head:
    """A territory of the cerebrum that is lost: fluid within a rim of gliosis, or still swollen tissue."""
    real = of_kind(shapes, "stroke")
    if real and draws.chance(0.85):
        territory = placed(real[draws.below(len(real))], head, draws)
    else:
        territory = _distance(head, _place(head, CEREBRUM, draws), draws, roughness=0.3) < draws.log_uniform(6, 35)
    lost = territory & _among(head.tissue, CEREBRUM)
    head = head.painted(GLIOSIS, lost)
    if draws.chance(0.25):
        return head
    depth = softened(territory, draws.uniform(1.5, 3.5) / head.voxel_mm)
    depth = depth + 0.08 * draws.smooth(lost.shape, _nodes(head, 8))
    return head.painted(FLUID, lost & (depth > draws.uniform(0.55, 0.85)))


def mass(head: Head, draws: Draws, shapes: Shapes) -> Head:
    """One tumour, or some metastases: core, necrosis, an enhancing rim, oedema, and healthy tissue pushed aside.

    All push before any is painted, so that each lies in the tissue that is there in the end.
    """
    several = draws.chance(0.2)
    grown: list[tuple[Tensor, float]] = []
    for _ in range(draws.below(4) + 2 if several else 1):
        radius = draws.log_uniform(3, 9) if several else draws.log_uniform(5, 26)
        centre = _place(head, (WHITE, WHITE, CORTEX, DEEP, 9), draws).view(3, 1, 1, 1)
        offset = head.points - centre
        head = head.moved(centre + pushed(offset, radius, draws.uniform(0, 0.9)))
        grown.append((offset, radius))
    for offset, radius in grown:
        head = _with_mass(head, offset, radius, draws)
    return head


def resection(head: Head, draws: Draws, shapes: Shapes) -> Head:
    """A hole that a surgeon left: from under the surface of the cerebrum out to it, filled with fluid."""
    inner = _place(head, (CORTEX, WHITE), draws)
    middle = _mean_point(head, _among(head.tissue, CEREBRUM))
    outward = inner - middle
    outward = outward / outward.norm().clamp_min(1e-6)
    offset = head.points - inner.view(3, 1, 1, 1)
    along = (offset * outward.view(3, 1, 1, 1)).sum(dim=0).clamp(0, 60)
    distance = (offset - along * outward.view(3, 1, 1, 1)).square().sum(dim=0).sqrt()
    radius = draws.uniform(8, 22)
    distance = distance + 0.15 * radius * draws.smooth(distance.shape, _nodes(head, 14))
    lost = (distance < radius) & _among(head.tissue, CEREBRUM)
    rim = (distance < radius + draws.uniform(0, 4)) & (head.tissue == WHITE)
    return head.painted(GLIOSIS, rim).painted(FLUID, lost)


def atrophy(head: Head, draws: Draws, shapes: Shapes) -> Head:
    """Ventricles and sulci wider at the cost of what is around them; no lesion."""
    tissue = head.tissue
    central = draws.uniform(1.5, 7)
    points = _widened(head, (tissue == VENTRICLES) | (tissue == MIDLINE_VENTRICLES), central, 1.2 * central, draws)
    head = head.moved(points)
    return head.moved(_widened(head, head.tissue == CSF, draws.uniform(0.3, 1.3), 1.8, draws))


FINDING: Mapping[Finding, FindingFunction] = {
    "normal": normal,
    "white_matter_lesions": white_matter_lesions,
    "mass": mass,
    "stroke": stroke,
    "resection": resection,
    "atrophy": atrophy,
}


def _spotted(head: Head, tissue: Tensor, draws: Draws) -> Tensor:
    """Where rough noise and nearness to the ventricles together are highest, 0.3 to 60 mL of white matter."""
    white = tissue == WHITE
    if not bool(white.any()):
        return white
    near = softened(tissue == VENTRICLES, draws.uniform(3, 6) / head.voxel_mm)
    near = near / near[white].max().clamp_min(1e-3)
    noise = draws.smooth(tissue.shape, _nodes(head, draws.uniform(4, 9)))
    field = noise + draws.uniform(0, 5) * near + 0.5 * draws.smooth(tissue.shape, _nodes(head, 30))
    values = field[white]
    wanted = min(0.2 * len(values), draws.log_uniform(300, 60_000) / head.voxel_mm**3)
    return white & (field >= values.topk(max(1, round(wanted))).values[-1])


def _with_mass(head: Head, offset: Tensor, radius: float, draws: Draws) -> Head:
    """Painted with a mass. offset: (3, X, Y, Z) mm from its middle. Oedema is nowhere over another mass."""
    distance = offset.square().sum(dim=0).sqrt() + 0.2 * radius * draws.smooth(head.labels.shape, _nodes(head, radius))
    inside = _among(head.tissue, (CSF, *BRAIN, VENTRICLES, MIDLINE_VENTRICLES))
    if draws.chance(0.8):
        fingers = distance + 0.3 * radius * draws.smooth(head.labels.shape, _nodes(head, 6))
        oedema = (fingers < radius * draws.uniform(1.2, 2.4)) & (head.tissue == WHITE)
        head = head.painted(GLIOSIS, oedema & (head.part == 0))
    head = head.painted(SOLID, (distance < radius) & inside)
    if draws.chance(0.6):
        ring = draws.uniform(0.1, 0.5) * radius
        head = head.painted(RIM, (distance < radius) & (distance >= radius - ring) & inside)
        if draws.chance(0.7):
            head = head.painted(FLUID, (distance < radius - ring) & inside)
    return head


def pushed(offset: Tensor, radius: float, share: float) -> Tensor:
    """Which tissue lies at `offset` (3, ...) mm from a mass that displaced `share` of its own volume.

    An incompressible shell at r0 goes to r with r^3 = r0^3 + share * radius^3, so the midline shifts and far is still.
    Inside the mass the tissue is spread evenly.
    """
    distance = offset.square().sum(dim=0).sqrt()
    origin = (distance**3 - share * radius**3).clamp_min(0) ** (1 / 3)
    inner = (1 - share) ** (1 / 3)
    return offset * torch.where(distance > radius, origin / distance.clamp_min(1e-6), inner)


def _widened(head: Head, cavity: Tensor, by_mm: float, reach_mm: float, draws: Draws) -> Tensor:
    """Points of a head whose cavity's edge lies by_mm further out, by a field that fades over reach_mm."""
    sd = reach_mm / head.voxel_mm
    soft = softened(cavity, sd)
    uneven = 1 + 0.3 * draws.smooth(cavity.shape, [4] * 3)
    # The slope of a blurred edge is 1 / (sd sqrt(2 pi)) at the edge; what is seen lies up the slope, in the cavity.
    up = torch.stack(torch.gradient(soft)) * sd * math.sqrt(2 * math.pi) * by_mm / head.voxel_mm * uneven
    first = head.points[:, 0, 0, 0]
    ends = (head.points[:, -1, 0, 0], head.points[:, 0, -1, 0], head.points[:, 0, 0, -1])
    steps = [(end - first) / (n - 1) for end, n in zip(ends, cavity.shape, strict=True)]
    return head.points + torch.einsum("ij,jxyz->ixyz", torch.stack(steps, dim=1), up)


def _distance(head: Head, centre: Tensor, draws: Draws, *, roughness: float) -> Tensor:
    """(X, Y, Z) mm from a centre in an ellipsoid's metric, its surface rough."""
    axes = torch.tensor([draws.log_uniform(0.7, 1.4) for _ in range(3)], device=centre.device)
    distance = ((head.points - centre.view(3, 1, 1, 1)) / axes.view(3, 1, 1, 1)).square().sum(dim=0).sqrt()
    return distance * (1 + roughness * draws.smooth(distance.shape, _nodes(head, 14)))


def _place(head: Head, classes: Sequence[int], draws: Draws) -> Tensor:
    """(3,) point of the label map that lies in one of the classes in the image; a class named twice, as often."""
    tissue = head.tissue
    present = [c for c in classes if bool((tissue == c).any())]
    where = (tissue == present[draws.below(len(present))]).nonzero() if present else (tissue >= 0).nonzero()
    x, y, z = where[draws.below(len(where))]
    return head.points[:, x, y, z]


def _mean_point(head: Head, mask: Tensor) -> Tensor:
    return head.points[:, mask].mean(dim=1)


def _among(tissue: Tensor, classes: Sequence[int]) -> Tensor:
    table = torch.zeros(256, dtype=torch.bool, device=tissue.device)
    table[list(classes)] = True
    return table[tissue.int()]


def _nodes(head: Head, apart_mm: float) -> list[int]:
    """Points an axis of a smooth field that are about apart_mm apart."""
    return [round(n * head.voxel_mm / apart_mm) + 1 for n in head.labels.shape]
