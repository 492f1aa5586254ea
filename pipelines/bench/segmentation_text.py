"""The words of docs/benchmarks/segmentation.md."""

from collections.abc import Mapping

from pipelines.bench.segmentation_cases import CONFLICT, ENTROPY, GATE

MOVES: Mapping[str, str] = {
    "cerebral_white": "label maps of the manual protocol: white matter is drawn too small in every scan",
    "deep_grey": "images with the weak edges of thalamus and pallidum: the size is nearly right, the borders are not",
    "hippocampus_amygdala": "label maps of the manual protocol: it is drawn too large in every scan",
    "lateral_ventricles": "more narrow ventricles in training, which are the worst; one rule for choroid plexus and "
    "temporal horns (untested)",
    "brainstem": "one rule for where the ventral diencephalon ends (untested)",
    "grey_matter": "its border with white matter, which is drawn too small as on OASIS; more whole heads at 2 mm in "
    "training; labels at 1 mm, on whose grid thin cortex loses less (untested)",
    "white_matter": "the same border: white matter is drawn too small in every scan",
    "ventricles": "more narrow ventricles at 2 mm in training: they are drawn too large in every scan",
    "lesions": "a trunk trained on lesions of real shape and on small ones: this one saw blobs; small loads are worst",
    "ece": "the border again, which no temperature moves: label maps of this protocol",
    "auroc": "errors that the network is sure of, at borders: label maps of this protocol, or several trunks",
    GATE: "a score fitted to Dice: the gate's is fitted to failures; and labels of one kind: among undamaged scans "
    "Dice differs by labels and grid, which no image shows",
    CONFLICT: "nothing alone: thick slices and noise leave the anatomy in place; it is a part of the gate's score",
    ENTROPY: "nothing alone: undamaged scans of higher Dice have more of it; it is a part of the gate's score",
    "trivial white": "the same as for the Dice of white matter: here the image alone says nearly as much",
    "trivial csf": "the brain's edge: stripping gives it to the mixture, the network has to find it",
    f"ladder {GATE}": "a score fitted to Dice: the gate's is highest for an inverted contrast, which costs little Dice",
    f"ladder {CONFLICT}": "more subjects",
    "passes": "a smaller survey, fewer joint heads, or survey and sampling in one fused kernel",
    "models": "the same, or points whose error falls faster with their number",
}
"""What would move a bar, by what it is set for."""

PROTOCOL: Mapping[str, str] = {
    "cortical_grey": "The manual cortex holds the sulcal CSF between the gyri, which this model calls CSF: "
    "{sulcal:.0f} % of it. A right answer there counts as an error of cortex, of entropy and of calibration.",
    "cerebral_white": "It ends at a change of intensity that protocols draw by eye or by a threshold; whose border is "
    "right was not tested.",
    "deep_grey": "Both protocols name the same nuclei; thalamus and pallidum end in white matter without an edge "
    "that a T1 shows; untested.",
    "hippocampus_amygdala": "The label maps are FreeSurfer's, whose hippocampus and amygdala are known to be larger "
    "than traced ones (Morey et al. 2009, NeuroImage 45:855); without the offsets of classes that were fitted on two "
    "traced scans (docs/adr/0009) it was 45 % and 40 % larger than the labels.",
    "lateral_ventricles": "Choroid plexus and the temporal horns are drawn as ventricle by one protocol and not by "
    "another; untested. What is known: Dice rises with their size (Spearman {narrow:.2f} with the manual volume on "
    "OASIS), since a voxel off costs more of a narrow one.",
    "cerebellar_grey": "The CSF between the folia is cerebellum in manual labels, as that of the sulci is cortex; "
    "untested.",
    "cerebellar_white": "Its thin branches are white matter or not as far as a protocol follows them; untested.",
    "brainstem": "Where the ventral diencephalon ends above it, is a plane that a protocol chooses; untested.",
}

BESIDE_TRIVIAL = """Against the mixture of three intensities this network is {said}. {others} These images are stripped,
so a tool that calls every voxel of the image tissue has the brain's outline for nothing; this network looks for it and
calls {nothing:.1f} % of the manual brain background. With those voxels counted as CSF its grey matter or CSF would have
{filled}, not {own}: no more than level with the mixture. What it has over a mixture is where grey matter ends and CSF
begins, and the names of the structures."""

PAGE = """# Real scans against their labels

Model: {bundle}. The ten OASIS scans (skull-stripped, 1 mm) have manual labels of the Neuromorphometrics
protocol. The {n_ixi} IXI scans (whole head, 2 mm, test split) have labels that another network made (DLMUSE, of the
same protocol): silver truth. None of these images was trained on. The prior, the temperature and the offsets of classes
were fitted on two OASIS scans of the tune split, so the test split is also shown apart.

## The bars

{bars}
Dice, distances and AUROC are means over scans; intervals are over subjects, each with all of their copies, drawn again,
and none is given for fewer than {fewest}. ECE is pooled over the scans, of each structure's probability within 2 mm of
its boundary, the worst structure. That the trivial baseline must be beaten "by far" is read as {far} Dice. The cost of
samples is from [the page of the predictive](predictive.md).

**What is common to most of what is not met.** The trunk is that of the spike, trained for 19 minutes on 20 label maps
of FreeSurfer's protocol: a longer run on a GPU, with lesions of real shape, whole heads at 2 mm and label maps of the
protocol that is graded against, is the first thing to try. The curves below show where calibration fails.

![Dice of every scan](segmentation-dice.png)

## OASIS, manual labels

{oasis}
{per_scan}
## IXI, automatic labels

{ixi}
![Calibration in the boundary band](segmentation-calibration.png)

**Is the calibration error a border that lies elsewhere?** `of it excess` is the mean probability in the band less how
often the structure was there. Where a network is too sure, or its border outward here and inward there, it is near
zero; where the border is shifted one way, it is all of the error. {excess} That is as far as it was tested: that
FreeSurfer's protocol is the reason is not, since no scan here has labels of both. IXI labels lie on a grid of 2 mm and
are those of a network: agreement beyond its own errors cannot be seen.

## What the protocols do to each row

Volume of this network's structure against that of the labels:

{protocol}

## Side by side with what else a user could take

On the same OASIS scans, tissues only; in brackets this network on the scans that the tool ran on. CPU seconds are of
one process over all its threads; this network's contain all from the scanner's volume back to it. The others need a
skull-stripped image and name no structures. The naive passes drop channels where
the trunk was trained to, and have neither prior nor posterior, nor has the single pass. {naive}{missing}

{tools}
The last column but one joins grey matter and CSF within the manual brain, where it no longer matters to whom sulcal CSF
belongs. {trivial}

## Lesions

White-matter lesions of the elderly (FLAIR alone, 2 mm; masks by another network, DLWMLS), and gliomas (BraTS, manual,
whole tumour with oedema). A glioma is found where the Jaccard index is at least {detected}. The MS scans have a mask of
change between two visits, none of a single scan, so they are not counted here.

{lesions}
## Does the score of a case know its Dice?

The gate's score is the sum over all its signals, judged by the operating point that is shipped; conflict and entropy
are single signals of it. Dice is the mean over eight structures. The first two sets have many subjects, as they are
or with one damage each; the last two have few subjects and many copies of each.
Undamaged scans differ in Dice most by what their labels are, manual at 1 mm or automatic at 2 mm: no score of an image
can rank that.

{scores}
![Score against Dice](segmentation-score.png)

`python -m pipelines.bench.segmentation`; the other tools: `pipelines/bench/baselines/tissues.py`.
"""
