"""Decode in a process that may die: limited memory, no core dump, killed when its time is up. The caller survives.

The array comes back through a file in a private folder, the rest as JSON: nothing that the process says is unpickled.
"""

import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from triage.case import Format, Series, SourceFile, Volume
from triage.dicom.limits import ReadLimits
from triage.errors import Code, Refusal

_ARRAY = "array.npy"
_ROOT = Path(__file__).resolve().parents[2]
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def decode_confined(series: Series, *, limits: ReadLimits) -> Volume:
    """Decode a series in a process of its own; a Refusal for whatever goes wrong in there."""
    request = {
        "files": [[str(file.path), file.sha256] for file in series.files],
        "format": series.format,
        "slices": series.shape[2],
        "limits": asdict(limits),
    }
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="brain-triage-") as folder:
        try:
            done = subprocess.run(  # noqa: S603  our own module, no shell; paths travel on stdin
                [sys.executable, "-m", "triage.dicom.confined", folder],
                input=json.dumps(request),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # codecs and parsers quote values of the header
                text=True,
                timeout=limits.decode_seconds,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _over_limit(f"Decoding took more than {limits.decode_seconds:.0f} s.") from None
        answer = _answer(done.stdout)
        if "refusal" in answer:
            code, message, do = answer["refusal"]
            raise Refusal(Code(code), message, do=do)
        if done.returncode != 0 or "affine" not in answer:
            raise Refusal(
                Code.DECODE_FAIL, "The process that decodes the pixels died.", do="Send the series again, uncompressed."
            )
        return Volume(
            array=np.load(Path(folder) / _ARRAY, allow_pickle=False),
            affine=np.array(answer["affine"], dtype=np.float64),
        )


def _answer(line: str) -> dict[str, Any]:
    try:
        answer = json.loads(line or "{}")
    except json.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def main() -> None:
    """Entry of the confined process: a request on stdin, an answer on stdout, the array into the folder given."""
    request = json.load(sys.stdin)
    limits = ReadLimits(**request["limits"])
    answer: dict[str, object]
    try:
        answer = {"affine": _decode(request, Path(sys.argv[1]) / _ARRAY, limits)}
    except Refusal as refusal:
        answer = _refused(refusal)
    except MemoryError:
        answer = _refused(_over_limit(f"Decoding takes more than {limits.decode_bytes >> 20} MiB of memory."))
    json.dump(answer, sys.stdout)


def _refused(refusal: Refusal) -> dict[str, object]:
    return {"refusal": [refusal.code, refusal.message, refusal.do]}


def _decode(request: dict[str, Any], out: Path, limits: ReadLimits) -> list[list[float]]:
    files = [SourceFile(path=Path(path), sha256=digest) for path, digest in request["files"]]
    if request["format"] == Format.NIFTI:
        from triage.nifti import decode_nifti as decode
    else:
        from triage.dicom.volume import decode_dicom as decode
    _confine(limits)
    try:
        volume = decode(files, out, slices=request["slices"], limits=limits)
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # a codec or a parser; what it raises is its own affair
        if isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EFBIG):
            raise MemoryError from error
        raise Refusal(
            Code.DECODE_FAIL, "The pixels cannot be decoded.", do="Send the series again, uncompressed."
        ) from error
    rows: list[list[float]] = volume.affine.tolist()
    return rows


def _confine(limits: ReadLimits) -> None:
    """Called after the imports: the limit is on what the input takes beyond the interpreter and its libraries."""
    memory = _address_space() + limits.decode_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    array = 4 * limits.volume_voxels + 4096
    resource.setrlimit(resource.RLIMIT_FSIZE, (array, array))


def _address_space() -> int:
    """Bytes of address space of this process, 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _over_limit(message: str) -> Refusal:
    return Refusal(Code.DECODE_LIMIT, message, do="Check the file; a brain series takes far less.")


if __name__ == "__main__":
    main()
