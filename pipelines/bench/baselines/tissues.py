"""Three tissues of a skull-stripped T1 by published tools, with the seconds that each takes.

  python3 -m venv other && other/bin/pip install antspyx==0.6.3 dipy==1.12.1 scikit-learn==1.9.1
  other/bin/python pipelines/bench/baselines/tissues.py --method atropos --out FOLDER --icbm NILEARN_DATA *.nii.gz

It runs in an environment of its own, since antspyx caps numpy, and imports nothing of this project. Each image gives
<method>/<name> with 1 CSF, 2 grey, 3 white, and a line of <method>.jsonl with its seconds on the threads that
OMP_NUM_THREADS and ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS allow.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

ICBM = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
PRIOR_WEIGHT = 0.25
MRF = "[0.2,1x1x1]"


def gaussian_mixture(image: Path, _: Path) -> NDArray[np.uint8]:
    """Three Gaussians over the brain's intensities, no neighbours, no prior: the trivial baseline."""
    from sklearn.mixture import GaussianMixture

    array = nib.load(image).get_fdata()
    brain = array > 0
    values = array[brain][:, None]
    model = GaussianMixture(3, random_state=0).fit(values)
    rank = np.argsort(np.argsort(model.means_[:, 0]))
    return _filled(brain, 1 + rank[model.predict(values)])


def dipy_hmrf(image: Path, _: Path) -> NDArray[np.uint8]:
    """Hidden Markov random field after Zhang, Brady and Smith 2001, as dipy has it, with its tutorial's settings."""
    from dipy.segment.tissue import TissueClassifierHMRF

    array = nib.load(image).get_fdata()
    _, final, _ = TissueClassifierHMRF(verbose=False).classify(array, 3, 0.1)
    return np.asarray(final, np.uint8)


def atropos(image: Path, icbm: Path) -> NDArray[np.uint8]:
    """N4, affine registration of the ICBM152 template, Atropos with its tissue maps as priors (Avants et al. 2011)."""
    import ants

    scan = ants.image_read(str(image))
    brain = ants.threshold_image(scan, 1e-6)
    scan = ants.n4_bias_field_correction(scan, mask=brain, shrink_factor=4)
    template, grey, white = (ants.image_read(str(icbm / ICBM.format(kind))) for kind in ("t1", "gm", "wm"))
    found = ants.registration(fixed=scan, moving=template, type_of_transform="Affine", random_seed=1)
    grey, white, inside = (
        ants.apply_transforms(scan, one, found["fwdtransforms"])
        for one in (grey / grey.max(), white / white.max(), ants.threshold_image(template, 1))
    )
    fluid = ants.threshold_image(inside, 0.5) - grey - white
    priors = [one.new_image_like(np.clip(one.numpy(), 0.001, 1)) for one in (fluid, grey, white)]
    total = sum(one.numpy() for one in priors)
    priors = [one.new_image_like(one.numpy() / total) for one in priors]
    result = ants.atropos(a=scan, x=brain, i=priors, priorweight=PRIOR_WEIGHT, m=MRF, c="[5,0]")
    return np.asarray(result["segmentation"].numpy(), np.uint8)


METHODS: Mapping[str, Callable[[Path, Path], NDArray[np.uint8]]] = {
    "gaussian_mixture": gaussian_mixture,
    "dipy_hmrf": dipy_hmrf,
    "atropos": atropos,
}


def _filled(mask: NDArray[np.bool_], values: NDArray[np.integer]) -> NDArray[np.uint8]:
    labels = np.zeros(mask.shape, np.uint8)
    labels[mask] = values
    return labels


def main() -> None:
    """Every image by one method; what exists is left as it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--icbm", type=Path, required=True, help="folder with nilearn's ICBM152 maps")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    (args.out / args.method).mkdir(parents=True, exist_ok=True)
    for image in args.images:
        target = args.out / args.method / image.name
        if target.exists():
            continue
        wall, cpu = time.perf_counter(), time.process_time()
        labels = METHODS[args.method](image, args.icbm)
        took = {"image": image.name, "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        nib.save(nib.Nifti1Image(labels, nib.load(image).affine), target)
        with (args.out / f"{args.method}.jsonl").open("a") as lines:
            lines.write(json.dumps(took) + "\n")
        print(args.method, took, flush=True)


if __name__ == "__main__":
    main()
