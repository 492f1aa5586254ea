"""The words of docs/benchmarks/prior.md."""

CONDITION = {
    "": "clean",
    "noise 4": "noise, SD 18 % of bright tissue",
    "thick_slices 4": "slices 5 mm thicker",
}

HEAD = """# What anatomy is worth

Bundle {bundle}. `python -m pipelines.bench.prior --cache out/bench` measures this page again; with `--rewrite` it is
only written again. The network's weights have never seen a real scan. Two cores, no GPU.

The rule is r(h) ~ q(h | healthy) (pi(h) / pi_train(h))^beta; lesion keeps the network's probability to the last bit,
for any atlas, pose and exponent (`tests/models/priors/test_fusion.py`). Its coefficients are fitted together, as a
convex problem (`models.priors.exponent`): 1/T, beta, and gamma in pi_train ~ frequency^gamma or, since bundle 0.3, one
offset for every class instead (`docs/adr/0009-offsets-of-classes.md`). Only the first table below knows offsets: what
follows tells what the atlas is worth beside a temperature alone.
"""

FITTED = """## What the likelihood is divided by

A network that was trained by the Dice loss counts every class alike, whatever its size; one that was trained by
cross-entropy has learnt the frequencies of the label maps. gamma, between 0 and 1, says which of the two a network is
like. Losses are means over subjects of the tune split of -log p(label), nats a voxel among the brain's classes, each
choice with its own temperature.

"""

AUTOMATIC = """
Automatic labels were made by another network at 2 mm; half of their border voxels are wrong at 1 mm, which asks for
more temperature and more prior than is good for manual labels. The bundle takes the last row, fitted to manual labels.
"""

WORTH = """## With and without the prior

Same scans, same cells (8,000 of each scan, from the brain and what was taken for it), the posterior's mean. Under
each condition both have a temperature of their own, fitted on the two manually labelled tune scans damaged in the
same way; beta and gamma are those of the clean tune scans. NLL (nats), Brier and ECE (top label, 15 bins) are among
the brain's classes given that a voxel is healthy brain. The tune scans were fitted on; the others were not.

"""

GAINS = """
What the prior changes on the scans that nothing was fitted on, with 95 % intervals over subjects (drawn again 2,000
times; none for fewer than eight); last, the beta that the tune scans damaged in this way would ask for, and what it
would change.

![Change of Dice and NLL by the prior](prior-worth.png)

"""

STRUCTURES = """## Structure by structure

Dice without and with the prior, and the paired difference, with its interval where there are eight subjects or more:
the {n} scans that nothing was fitted on, each condition as above.

"""

ONE_BETA = """**Why beta is not 0 there.** The bundle has one beta for all classes, fitted on the likelihood of all,
where cortex and cerebellum decide by their size. In the rule above it could be a number for each class: the ratio is
one for each class already. It was not done: a prediction would change, so the limits of the gate would have to be
certified again; a class of beta 0 is not left alone, it gains wherever its rivals are held down; and beta would have
to be chosen on the two manually labelled tune scans, which cannot tell such small losses from chance. More such scans
would change that, as would an atlas of the small nuclei that is sharper than the 2 mm which it is blurred by. The list
above is what one beta costs.

ECE is worse with the prior for: {worse}. That is in groups of two scans and in the third decimal: there was next to no
calibration error to remove, and the prior makes probabilities a little more sure. Over all scans that nothing was
fitted on ECE falls under every condition.
"""

REGISTRATION = """## The pose

Known affines: a turn of up to 15 degrees, up to 10 % along each axis, up to 15 mm, about the brain. The error is the
mean over the brain of the distance between the pose of the moved head, taken back, and that of the head as it was.
Label maps: no network, a 4 mm cell has the shares of its voxels. Real scans: the image was resampled and went through
preprocessing and network again.

SimpleITK: centres of mass, rigid, affine; Mattes mutual information with the ICBM T1 inside its brain, 4 mm wider.
The whole heads of IXI were given as they are: what is not brain is left out by the mask in MNI space alone. OASIS is
stripped. Two judges: correlation with the ICBM T1 inside its brain, which is near to what SimpleITK maximises, and
the mean log-probability of the scan's labels under the atlas, which is near to what the pose maximises, but from
labels that it did not see. Where the two affines are further apart than the 2 mm that the atlas is blurred by, one
of them is wrong.

The pose is found on a 4 mm grid from 6,000 points in under a second. On stripped scans both judges prefer SimpleITK's
affine; on whole heads the labels prefer the pose. Label maps are left out where they were not measured.

"""

CONFLICT = """## Conflict

conflict = log Z[atlas blurred over 15 mm] - log Z[atlas at the pose], over scans of the tune split and label maps, at
the pose found and at 7 wrong ones: 30 mm off along each axis, upside down, turned by 90 degrees about each axis. Only
with exponent 1 is Z a ratio of marginal likelihoods and the difference a log Bayes factor, so the conflict of the
engine has exponent 1, whatever beta was fitted. The gap is between the worst right pose and the best wrong one.

![Conflict of the pose found and of wrong poses](prior-conflict.png)

"""

NETWORKS = """## Few label maps: whole networks

Trunk and head learn from the first 1, 2, 5 or all 20 label maps: `pipelines.train`, {iterations} iterations of one
image at {spacing:g} mm, healthy heads on T1 (`--healthy-t1`), about ten minutes of one core for each. Options and
random numbers are the same for all four; one draw of label maps, one seed. The options were chosen by the time that an
iteration takes and by how training goes, before a real scan was met. The scans are those of the second table at 2 mm,
every voxel of the brain and of what was taken for it. Temperature, beta and gamma are fitted for each network as above,
the pose is the one that its own probabilities find. The atlas is that of the bundle for all of them; it knows all 20
label maps.

**What limits these networks is the iterations, not the label maps.** Without the prior that of 20 label maps is no
better on real scans than that of one, and the loss of all still falls at the end. All are far below the network that is
shipped and below the atlas alone, and none knows the hippocampus. So this cannot show a prior that is worth less the
more label maps there are. It shows a prior that meets a network which knows little: beta is about 1, in stripped heads
without noise the prior is worth .17 to .25 of Dice, where the shipped network gains less than .01, and network and
atlas together are better than either.

**The prior has to know where the head is.** In whole heads, and in noise, these networks take much else for brain; the
pose that they find is a centimetre and more off, likelihood and calibration become worse, and in whole heads without
noise the Dice too. So each was also given the prior, with the same exponents, at the pose that the labels say: there it
is worth .19 to .45 of Dice under every condition.

![Dice and NLL by the number of label maps](prior-networks.png)

Dice without the prior, with it, and with it at the pose of the labels, and how far apart the two poses are (mean over
the brain, median over scans):
"""

NETWORK_GAINS = """
What the prior changes, with 95 % intervals over subjects where there are eight or more:

"""

HEADS = """## Few label maps: heads alone

Heads fitted from nothing on the synthetic images of 1, 2, 5 or all 20 label maps, several draws of the label maps for
each number, over the trunk of {bundle}, which had seen all 20. Each head has its own temperature, beta and gamma from
the two manually labelled tune scans, and all meet the same cells at the same pose. Means over draws and scans that
nothing was fitted on; in brackets the lowest and the highest draw. Over such features a head of one label map is nearly
as good as one of twenty, and the prior is worth about the same to both.
"""
