"""How much of the machine one input may take. Every limit is generous for a brain and small for an attack."""

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Limits per file unless named otherwise.

    header_bytes: everything before the pixels. value_bytes: one value outside pixels and overlays.
    classic_elements, enhanced_elements: attributes of all levels. depth: nesting of sequences.
    edge_voxels: rows, columns or slices. volume_voxels: of a series; 768^3 is above any head protocol.
    inventory_files: regular files looked at in one inbox. decode_bytes: memory that decoding may take;
    decode_seconds: its wall time. nifti_bytes: a NIfTI file once decompressed.
    """

    file_bytes: int = 2048 * _MIB
    header_bytes: int = 16 * _MIB
    value_bytes: int = 1 * _MIB
    classic_elements: int = 20_000
    enhanced_elements: int = 300_000
    depth: int = 32
    edge_voxels: int = 2048
    volume_voxels: int = 768**3
    inventory_files: int = 200_000
    decode_bytes: int = 4096 * _MIB
    decode_seconds: float = 120.0
    nifti_bytes: int = 2048 * _MIB
