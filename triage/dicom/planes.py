"""Where the planes of a file lie in the patient, and which number stands for which signal (PS3.3 C.7.6.2, C.7.6.16)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from triage.dicom.attribute_values import number, numbers, text, texts
from triage.dicom.file_meta import invalid
from triage.errors import Code, Refusal

_SPACING_MM = (0.1, 10.0)
_UNIT = 1e-3

Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One slice or frame. position: LPS+ mm. orientation: unit vectors along increasing column and row index, LPS+.

    spacing_mm: between rows, between columns, as in Pixel Spacing. value = slope * stored + intercept.
    split: what may tell two planes at one position apart; see SPLIT_BY.
    """

    frame: int
    position: Vector
    orientation: Vector
    spacing_mm: Vector
    slope: float
    intercept: float
    split: tuple[str, ...]

    @property
    def direction(self) -> Vector:
        """The orientation without rounding noise, for finding parallel planes."""
        return tuple(round(cosine, 2) + 0.0 for cosine in self.orientation)

    @property
    def along_normal_mm(self) -> float:
        """Position along the plane's own normal."""
        (a, b, c), (d, e, f) = self.orientation[:3], self.orientation[3:]
        return _dot((b * f - c * e, c * d - a * f, a * e - b * d), self.position)


SPLIT_BY = ("temporal position", "image type", "echo time", "acquisition number", "b-value")
"""Names of `Plane.split`, in its order."""


def planes_of(dataset: Dataset, *, enhanced: bool) -> tuple[Plane, ...]:
    """The planes of one file; a Refusal with GEOMETRY or HEADER_INVALID when one of them is not placed in space."""
    if not enhanced:
        if "NumberOfFrames" in dataset and number(dataset, "NumberOfFrames") != 1:
            raise invalid("A single-frame object with a number of frames other than 1.")
        return (_plane(0, [dataset]),)
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    frames = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    if "NumberOfFrames" not in dataset or len(frames) != number(dataset, "NumberOfFrames"):
        raise invalid("Number of Frames and the functional groups contradict each other.")
    common = [_flat(group) for group in shared]
    return tuple(_plane(index, [_flat(frame), *common, dataset]) for index, frame in enumerate(frames))


def _flat(groups: Dataset) -> Dataset:
    """The attributes of all functional groups of a frame in one dataset: their names do not collide."""
    flat = Dataset()
    for keyword in _GROUPS:
        for item in list(groups.get(keyword) or [])[:1]:
            flat.update({element.tag: element for element in item})
    return flat


_GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameContentSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "MRImageFrameTypeSequence",
)


def _plane(frame: int, sources: Sequence[Dataset]) -> Plane:
    """A plane from datasets in order of precedence: frame, shared, file."""
    position = _first(sources, "ImagePositionPatient", 3)
    orientation = _first(sources, "ImageOrientationPatient", 6)
    spacing = _first(sources, "PixelSpacing", 2)
    if not all(_SPACING_MM[0] <= mm <= _SPACING_MM[1] for mm in spacing):
        raise _geometry("Pixel Spacing is outside 0.1 to 10 mm.")
    row, column = orientation[:3], orientation[3:]
    if any(abs(_dot(axis, axis) - 1) > 2 * _UNIT for axis in (row, column)) or abs(_dot(row, column)) > _UNIT:
        raise _geometry("Image Orientation (Patient) is no pair of orthogonal unit vectors.")
    if not all(abs(mm) < 1e4 for mm in position):
        raise _geometry("Image Position (Patient) is farther than 10 m away.")
    slope, intercept = _rescale(sources)
    split = (
        _any_text(sources, ("TemporalPositionIndex", "TemporalPositionIdentifier")),
        "/".join(_any_texts(sources, ("FrameType", "ImageType"))),
        _any_text(sources, ("EffectiveEchoTime", "EchoTime")),
        _any_text(sources, ("FrameAcquisitionNumber", "AcquisitionNumber")),
        _any_text(sources, ("DiffusionBValue",)),
    )
    return Plane(
        frame=frame,
        position=position,
        orientation=orientation,
        spacing_mm=spacing,
        slope=slope,
        intercept=intercept,
        split=split,
    )


def _rescale(sources: Sequence[Dataset]) -> tuple[float, float]:
    """Slope and intercept; a slope that is present must be a number other than zero."""
    for source in sources:
        if "RescaleSlope" in source or "RescaleIntercept" in source:
            slope, intercept = number(source, "RescaleSlope"), number(source, "RescaleIntercept")
            if slope is None or intercept is None or not 1e-12 < abs(slope) < 1e12 or not abs(intercept) < 1e12:
                raise invalid("Rescale Slope or Rescale Intercept is missing, zero or no number.")
            return slope, intercept
    return 1.0, 0.0


def _first(sources: Sequence[Dataset], keyword: str, count: int) -> Vector:
    for source in sources:
        if keyword in source:
            values = numbers(source, keyword)
            if len(values) != count:
                raise _geometry(f"{keyword} does not hold {count} finite numbers.")
            return values
    raise _geometry(f"{keyword} is missing.")


def _any_text(sources: Sequence[Dataset], keywords: Sequence[str]) -> str:
    return next((text(source, key) for source in sources for key in keywords if key in source), "")


def _any_texts(sources: Sequence[Dataset], keywords: Sequence[str]) -> tuple[str, ...]:
    return next((texts(source, key) for source in sources for key in keywords if key in source), ())


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _geometry(message: str) -> Refusal:
    return Refusal(Code.GEOMETRY, message, do="Ask the sender for the original series.")
