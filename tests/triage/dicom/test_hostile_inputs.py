"""Hostile and broken inputs, one thing wrong in each; the ids carry the row of the table of hostile inputs.

Every input ends in its own codes, or in the same volume as the clean series; no other exception ever leaves the reader.
"""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

from tests.dicom_builders import (
    AXIAL,
    T2,
    compress,
    decode_here,
    edit,
    edit_all,
    element,
    inventory,
    only_case,
    phantom,
    replace_value,
    texts_of,
)
from tests.triage.dicom.breaks import (
    EMPTY_META,
    SECRETS,
    SHAPE,
    Break,
    at_group_9,
    codestream_30000,
    cut,
    duplicate_with_new_uid,
    duplicate_with_other_pixels,
    everywhere_secret,
    exact_duplicate,
    jitter,
    longer_pixels,
    lying_fragments,
    nested,
    no_sequence_end,
    one,
    one_tag,
    outcome,
    per_file,
    preamble,
    raw,
    replaced_by,
    same_series_under_two_patients,
    second_stack,
    secret_series,
    seventeen_characters,
    shear,
    shuffled_numbers,
    smaller,
    tags,
    with_values,
)
from triage.errors import Code

REFUSED: dict[str, tuple[Break, set[str]]] = {
    "row-01-empty-file": (replaced_by(b""), {Code.NOT_DICOM}),
    "row-01-131-bytes": (replaced_by(bytes(131)), {Code.NOT_DICOM}),
    "row-01-prefix-only": (replaced_by(EMPTY_META), {Code.TRUNCATED}),
    "row-01-400-byte-header": (per_file(lambda p: p.write_bytes(p.read_bytes()[:400])), {Code.TRUNCATED}),
    "row-02-64-kB-random": (replaced_by(np.random.default_rng(0).bytes(65536)), {Code.NOT_DICOM}),
    "row-02-random-without-extension": (replaced_by(np.random.default_rng(0).bytes(65536), "IM0001"), {Code.NOT_DICOM}),
    "row-03-no-preamble": (per_file(lambda p: p.write_bytes(p.read_bytes()[132:])), {Code.NOT_DICOM}),
    "row-05-65535-squared": (tags(Rows=65535, Columns=65535), {Code.HEADER_LIMIT}),
    "row-05-100000-frames": (tags(NumberOfFrames=100000), {Code.HEADER_LIMIT}),
    "row-06-product-overflows-int32": (tags(Rows=46341, Columns=46341), {Code.HEADER_LIMIT}),
    "row-06-product-overflows-uint64": (
        tags(Rows=65535, Columns=65535, NumberOfFrames=2147483647),
        {Code.HEADER_LIMIT},
    ),
    "row-07-zero-frames": (tags(NumberOfFrames=0), {Code.HEADER_INVALID}),
    "row-07-minus-one-frame": (tags(NumberOfFrames=-1), {Code.HEADER_INVALID}),
    "row-07-frames-no-number": (
        per_file(lambda p: [edit(p, NumberOfFrames=1), replace_value(p, "NumberOfFrames", b"abc")]),
        {Code.HEADER_INVALID},
    ),
    "row-09-j2k-claims-30000-squared": (per_file(codestream_30000(JPEG2000Lossless)), {Code.DECODE_LIMIT}),
    "row-09-jpegls-claims-30000-squared": (per_file(codestream_30000(JPEGLSLossless)), {Code.DECODE_LIMIT}),
    "row-09-header-30000-squared": (tags(Rows=30000, Columns=30000), {Code.HEADER_LIMIT}),
    "row-09-rle-of-another-size": (
        per_file(lambda p: compress(p, RLELossless, struct.pack("<16I", 2, 64, *[70] * 14) + b"\x81\x00" * 40)),
        {Code.DECODE_FAIL},
    ),
    "row-11-fragment-length-lies": (one(lying_fragments), {Code.TRUNCATED}),
    "row-11-fragments-never-end": (one(no_sequence_end), {Code.TRUNCATED}),
    "row-11-fewer-fragments-than-frames": (
        one(lambda p: [compress(p, RLELossless), edit(p, NumberOfFrames=3)]),
        {Code.TRUNCATED},
    ),
    "row-12-5000-deep": (per_file(at_group_9(nested(5000))), {Code.HEADER_LIMIT}),
    "row-12-a-million-items": (
        one(
            at_group_9(struct.pack("<HH2sHI", 9, 0x1001, b"SQ", 0, 8_000_000) + b"\xfe\xff\x00\xe0\0\0\0\0" * 1_000_000)
        ),
        {Code.HEADER_LIMIT, Code.MISSING_SLICE},
    ),
    "row-13-element-of-4-GB": (
        one(at_group_9(struct.pack("<HH2sHI", 9, 0x1001, b"OB", 0, 0xFFFFFFF0))),
        {Code.TRUNCATED, Code.MISSING_SLICE},
    ),
    "row-14-sequence-never-closed": (
        per_file(lambda p: p.write_bytes(p.read_bytes()[:1000] + nested(1)[:20])),
        {Code.TRUNCATED},
    ),
    "row-15-10-MB-text": (
        one(lambda p: edit(p, ImageComments="x" * 10_000_000)),
        {Code.HEADER_LIMIT, Code.MISSING_SLICE},
    ),
    "row-15-100k-private-tags": (
        per_file(at_group_9(b"".join(element(9, 0x1000 + n % 0xEFFF, b"LO", b"") for n in range(25_000)))),
        {Code.HEADER_LIMIT},
    ),
    "row-16-pixels-short-by-2": (cut(2), {Code.TRUNCATED}),
    "row-16-pixels-short-by-100": (one(lambda p: p.write_bytes(p.read_bytes()[:-100])), {Code.TRUNCATED}),
    "row-16-pixel-length-short-by-100": (one_tag(PixelData=bytes(780)), {Code.TRUNCATED}),
    "row-17-pixels-long-by-100-kB": (one(longer_pixels), {Code.HEADER_INVALID}),
    "row-18-bits-stored-over-allocated": (tags(BitsStored=20, HighBit=19), {Code.HEADER_INVALID}),
    "row-18-high-bit-mismatch": (tags(BitsStored=12, HighBit=15), {Code.HEADER_INVALID}),
    "row-18-bits-beyond-stored": (tags(BitsStored=8, HighBit=7), {Code.BAD_VALUES}),
    "row-19-rgb": (tags(PhotometricInterpretation="RGB", SamplesPerPixel=3), {Code.NOT_T1_VOLUME}),
    "row-19-palette": (tags(PhotometricInterpretation="PALETTE COLOR"), {Code.NOT_T1_VOLUME}),
    "row-19-ybr": (tags(PhotometricInterpretation="YBR_FULL", SamplesPerPixel=3), {Code.NOT_T1_VOLUME}),
    "row-22-position-nan": (raw("ImagePositionPatient", b"nan\\0\\0", 8), {Code.GEOMETRY}),
    "row-22-position-inf": (raw("ImagePositionPatient", b"inf\\0\\0", 8), {Code.GEOMETRY}),
    "row-22-position-1e38": (raw("ImagePositionPatient", b"1e38\\0\\0", 8), {Code.GEOMETRY}),
    "row-22-decimal-comma": (raw("ImagePositionPatient", b"1,5\\0\\0", 8), {Code.GEOMETRY}),
    "row-22-slope-nan": (raw("RescaleSlope", b"nan", 8), {Code.HEADER_INVALID}),
    "row-23-spacing-zero": (tags(PixelSpacing=[0, 5]), {Code.GEOMETRY}),
    "row-23-spacing-negative": (tags(PixelSpacing=[-5, 5]), {Code.GEOMETRY}),
    "row-23-spacing-1e-9": (tags(PixelSpacing=[1e-9, 5]), {Code.GEOMETRY}),
    "row-23-spacing-1e6": (tags(PixelSpacing=[1e6, 5]), {Code.GEOMETRY}),
    "row-23-spacing-single": (raw("PixelSpacing", b"5"), {Code.GEOMETRY}),
    "row-24-orientation-zero": (tags(ImageOrientationPatient=[0] * 6), {Code.GEOMETRY}),
    "row-24-orientation-parallel": (tags(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), {Code.GEOMETRY}),
    "row-24-orientation-not-unit": (tags(ImageOrientationPatient=[2, 0, 0, 0, 2, 0]), {Code.GEOMETRY}),
    "row-25-position-missing-in-one": (one_tag(ImagePositionPatient=None), {Code.GEOMETRY}),
    "row-25-position-missing-in-all": (tags(ImagePositionPatient=None), {Code.GEOMETRY}),
    "row-26-missing-middle-slice": (one(Path.unlink), {Code.MISSING_SLICE}),
    "row-26-missing-three-slices": (lambda _, paths: [p.unlink() for p in paths[5:8]], {Code.COVERAGE}),
    "row-26-uneven-gap": (one_tag(ImagePositionPatient=[-50, -55, -3.0]), {Code.NONUNIFORM}),
    "row-27-ten-end-slices-missing": (lambda _, paths: [p.unlink() for p in paths[:10]], {Code.COVERAGE}),
    "row-29-same-position-new-uid": (duplicate_with_new_uid, {Code.DUPLICATE_POSITION}),
    "row-30-same-uid-other-pixels": (duplicate_with_other_pixels, {Code.UID_CONFLICT}),
    "row-31-one-rotated-slice": (one_tag(ImageOrientationPatient=[0, 1, 0, -1, 0, 0]), {Code.GEOMETRY}),
    "row-31-one-smaller-slice": (one(smaller), {Code.GEOMETRY}),
    "row-31-one-other-spacing": (one_tag(PixelSpacing=[4, 4]), {Code.GEOMETRY}),
    "row-31-one-other-frame-of-reference": (one_tag(FrameOfReferenceUID=generate_uid()), {Code.GEOMETRY}),
    "row-32-shear": (per_file(shear), {Code.SHEAR}),
    "row-36-one-series-two-patients": (same_series_under_two_patients, {Code.PATIENT_CONFLICT}),
    "row-37-dual-echo": (
        lambda folder, paths: [edit_all(paths, **T2), second_stack(EchoTime=15, **{})(folder, paths)],
        {Code.NOT_T1_VOLUME},
    ),
    "row-37-time-series": (second_stack(TemporalPositionIdentifier=2), {Code.NOT_T1_VOLUME}),
    "row-37-phase": (tags(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), {Code.NOT_T1_VOLUME}),
    "row-37-mosaic": (tags(ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]), {Code.NOT_T1_VOLUME}),
    "row-37-localizer": (tags(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), {Code.NOT_T1_VOLUME}),
    "row-37-mip": (tags(ImageType=["DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIP"]), {Code.NOT_T1_VOLUME}),
    "row-37-diffusion": (tags(DiffusionBValue=1000.0), {Code.NOT_T1_VOLUME}),
    "row-37-echo-planar": (tags(ScanningSequence=["EP", "GR"]), {Code.NOT_T1_VOLUME}),
    "row-39-all-zero": (with_values(np.zeros(SHAPE)), {Code.BAD_VALUES}),
    "row-39-constant": (with_values(np.full(SHAPE, 7)), {Code.BAD_VALUES}),
    "row-39-binary-mask": (with_values(phantom().array > 200), {Code.BAD_VALUES}),
    "row-39-saturated": (with_values(np.minimum(phantom().array, 260)), {Code.BAD_VALUES}),
    "row-41-slope-zero": (tags(RescaleSlope=0), {Code.HEADER_INVALID}),
    "row-41-slope-without-intercept": (tags(RescaleIntercept=None), {Code.HEADER_INVALID}),
    "row-43-uid-is-a-path": (raw("SOPInstanceUID", b"../../../../tmp/pwn"), {Code.HEADER_INVALID}),
    "row-43-uid-is-absolute": (raw("SOPInstanceUID", b"/etc/x"), {Code.HEADER_INVALID}),
    "row-43-uid-with-nul": (raw("SOPInstanceUID", b"1.2\0b"), {Code.HEADER_INVALID}),
    "row-43-uid-of-65-characters": (raw("SOPInstanceUID", b"1." + b"2" * 63), {Code.HEADER_INVALID}),
    "row-43-uid-is-a-dot": (raw("SeriesInstanceUID", b"."), {Code.HEADER_INVALID}),
    "row-54-burned-in-annotation": (tags(BurnedInAnnotation="YES"), {Code.BURNED_IN}),
    "row-54-burned-in-annotation-in-one": (one_tag(BurnedInAnnotation="YES"), {Code.BURNED_IN}),
}


@pytest.mark.parametrize(("change", "codes"), REFUSED.values(), ids=REFUSED)
def test_an_input_with_one_thing_wrong_is_refused_with_its_code(change, codes, tmp_path):
    paths = secret_series(tmp_path / "in")
    change(tmp_path / "in", paths)

    assert outcome(tmp_path / "in", tmp_path / "out") == codes


SAME_AS_CLEAN: dict[str, Break] = {
    "row-04-mz-preamble": preamble(b"MZ\x90\0"),
    "row-04-elf-preamble": preamble(b"\x7fELF"),
    "row-04-html-preamble": preamble(b"<html><script>"),
    "row-04-tiff-preamble": preamble(b"II*\0"),
    "row-15-long-description-against-patterns": tags(SeriesDescription="T1" + "PD" * 30_000),
    "row-15-long-patient-name": tags(PatientName="A" * 60_000),
    "row-22-17-characters": seventeen_characters,
    "row-24-jitter": per_file(jitter),
    "row-28-exact-duplicate": exact_duplicate,
    "row-33-instance-numbers-shuffled": shuffled_numbers,
    "row-33-instance-numbers-missing": tags(InstanceNumber=None),
    "row-33-instance-numbers-equal": tags(InstanceNumber=1),
    "row-34-slice-thickness-lies": tags(SliceThickness=99, SpacingBetweenSlices=-1),
    "row-40-says-flair-acquired-as-t1": tags(SeriesDescription="AX FLAIR"),
    "row-44-patient-id-is-a-path": tags(PatientID="../../x"),
    "row-44-patient-id-is-a-device": tags(PatientID="CON"),
    "row-44-patient-id-is-a-command": tags(PatientID=";rm -rf /"),
    "row-44-patient-id-with-newline": raw("PatientID", b"a\nb"),
    "row-48-patient-name-is-markup": tags(PatientName='"><svg/onload=alert(1)>{{7*7}}'),
    "row-49-javascript-link": tags(RetrieveURL="javascript:alert(1)"),
    "row-51-escapes-and-bidi": tags(PatientName="\u202eevil\x1b[2J", StudyDescription="a\r\nb"),
    "row-52-unknown-character-set": raw("SpecificCharacterSet", b"ISO_IR 999"),
    "row-52-iso-2022": lambda _, paths: [
        (
            replace_value(p, "SpecificCharacterSet", b"\\ISO 2022 IR 87"),
            replace_value(p, "PatientName", b"\x1b$B\x1b\xff"),
        )
        for p in paths
    ],
    "row-52-gb18030": raw("SpecificCharacterSet", b"GB18030"),
    "row-52-invalid-utf-8": raw("PatientName", b"\xff\xfe\xc3\x28"),
    "row-53-secrets-in-private-tags": per_file(
        at_group_9(element(9, 0x10, b"LO", b"SECRET STREET ") + element(9, 0x1001, b"LO", b"Doe^Secret"))
    ),
    "row-53-secrets-in-nested-sequences-overlays-and-file-names": everywhere_secret,
    "row-46-hard-link": lambda folder, paths: os.link(paths[0], folder / "hard.dcm"),
}


@pytest.mark.parametrize("change", SAME_AS_CLEAN.values(), ids=SAME_AS_CLEAN)
def test_an_input_that_only_looks_bad_gives_the_same_volume_as_the_clean_one(change, tmp_path):
    change(tmp_path / "in", secret_series(tmp_path / "in"))

    case = only_case(tmp_path / "in")

    volume = decode_here(case.structural, tmp_path / "out")
    assert np.array_equal(volume.array, phantom().array)
    assert np.allclose(volume.affine, AXIAL, atol=1e-6)
    assert not any(secret in texts_of(inventory(tmp_path / "in")) for secret in SECRETS)
