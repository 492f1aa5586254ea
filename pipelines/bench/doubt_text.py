"""What the page on doubt says."""

import textwrap
from collections.abc import Mapping

PAGE = """# Does it know what it does not know?

The claim that began it all: far from its training data a softmax stays sure of itself, a Bayesian network does not.
Here inputs are moved away from training step by step ({tests} scans of the test split and {tunes} of the tune
split, {scans}; four kinds of damage, levels {levels} of 5, see `pipelines.degrade`), and replaced by what is no
brain at all. Model: {bundle}. Entropies and mutual information are means over what is called brain, on one voxel of
eight. *Softmax* is the mean head; *with temperature* the same divided by the fitted temperature; *posterior* the
mean of {samples} heads drawn from the posterior, {posterior_name}; *and prior* is what the product uses. Error is
one minus the mean Dice over eight structures. The first scan and the last are stripped and have manual labels, the
other is a
whole head with automatic ones.

![Error, entropy, mutual information, and density and conflict, against the level of damage](doubt-levels.png)

Lines are means over scans in the band of all of them. The dashed line is what sends a case to a human by that
signal alone.

## What the posterior sees, and what it does not

- **Entropy rises with damage, for the softmax as for the posterior.** At level 5 it is, in units of the same scans
  undamaged, {noise_softmax} (softmax) and {noise_posterior} (posterior) for noise, {motion_softmax} and
  {motion_posterior} for motion, {missing_slices_softmax} and {missing_slices_posterior} for missing slices,
  {contrast_inversion_softmax} and {contrast_inversion_posterior} for the wrong contrast.
- **Over the head alone the posterior adds little to a temperature.** On undamaged scans its entropy is
  {over_softmax} % above that of the softmax with temperature, and its mutual information is {share_information} %
  of its entropy: what is unsure is the labels, not the weights of a linear head that so many cells have fixed. The
  claim, taken literally, does not hold for a posterior over the head; what is worth having is a calibrated entropy,
  and signals that look elsewhere.
- **Entropy does not rank harm across kinds of damage.** Motion at level 5 raises it to {motion_posterior} times at
  an error of {motion_error}; the wrong contrast to {contrast_inversion_posterior} times at an error of
  {contrast_inversion_error} (undamaged {clean_error}). Trained on free contrasts, this network segments an inverted
  contrast nearly as well, and yet says that it is unsure.
- **What the head cannot see, others do.** With the wrong contrast the feature density is
  {contrast_inversion_feature_density} times the way from typical to the gate's limit, where mutual information is
  {contrast_inversion_information} times that of undamaged scans; with missing slices conflict with anatomy is
  {missing_slices_prior_conflict} times that way. Motion is seen least: density {motion_feature_density}, conflict
  {motion_prior_conflict}, of 1 that would send it to a human.
- **Anatomy ranks harm best**: the conflict's correlation with the error is {conflict_rho}, its AUROC for failure
  {conflict_auroc}. It needs no doubt of the network's own: it asks whether what was segmented can be a head at all.
- **Samples of the head agree the more, the worse the scan**: their disagreement (1 - soft Dice of pairs) is
  {motion_disagreement} times that of undamaged scans at level 5 of motion, {noise_disagreement} times for noise.
  Vague maps overlap well with one another; it is no signal of harm here.

A block of missing slices (8 mm and more of zeros) cuts the head in two for the preprocessing, which then keeps the
larger part: the error is that of a brain half lost, and anatomy notices. What an ensemble that differs in more than
the head sees is in `last_block.md`.

{rises}
Conflict is left out there: its zero is arbitrary.

## Doubt against error

![Each measure of doubt against the error, a point a scan](doubt-errors.png)

Spearman's correlation with the error, over the undamaged scans with one kind of damage, and over all {labelled};
and the area under the ROC curve for failure, which is a mean Dice more than {bad_loss} below that of the same scan
undamaged ({failures} of {labelled}). The rows of a scan are not independent, so small differences mean nothing.
*Within a scan* is the correlation over one scan and its damaged copies, mean over scans: undamaged scans differ in
entropy among themselves by more than mild damage adds.

{agreement}

## What is no brain

{nothing}
Entropy is {no_brain_softmax} times that of the scans for the softmax and {no_brain_posterior} times for the
posterior: neither is sure of itself. Refused by the preprocessing: {refused}. Conflict above 0 says that a brain at
this pose explains the image worse
than a brain anywhere.

## Would a saliency map tell the truth?

A map of the gradient of the brain's entropy with regard to the image, by three methods, on the middle of each scan
({crop} mm). Its sanity check (Adebayo et al. 2018, arXiv:1810.03292): weights made random, stage by stage from the
output to the input, must change it. Spearman's correlation over the brain with the map of the trained network, and
of that with the edges of the image and with the map of entropy.

{saliency}
{verdict}
"""

SANE = 0.2
"""A map that agrees more than this with that of a random network shows the image, not what was learnt."""


def verdict(left: Mapping[str, float], deep: tuple[float, float], entropy: tuple[float, float], cost: float) -> str:
    """left: largest agreement of each map with that of an all-random network. cost: backward over forward, seconds.

    deep: least and most agreement with all but the first encoder blocks random. entropy: the same with its map.
    """
    passed = [name for name, value in left.items() if value <= SANE]
    failed = [f"{name} ({value:.2f} left)" for name, value in left.items() if value > SANE]
    return (
        f"With all weights random at most {SANE} may be left. Passed: {', '.join(passed) or 'none'}. "
        f"Failed: {', '.join(failed) or 'none'}. "
        f"With all but the first encoder blocks random the maps still agree by {deep[0]:.2f} to {deep[1]:.2f}: they "
        f"hang on the first layers more than on what the depths have learnt. Their agreement with the map of entropy "
        f"is {entropy[0]:.2f} to {entropy[1]:.2f}, so they do not point at where the doubt is; and a gradient takes "
        f"{cost:.1f} times a forward pass more, on eager torch, than which OpenVINO is faster. "
        "The product has no saliency map: it shows the entropy itself."
    )


def wrapped(page: str, width: int = 118) -> str:
    """The page with its paragraphs and list items filled again, after numbers were put in."""
    blocks = []
    for block in page.split("\n\n"):
        if block.startswith(("|", "#", "!")):
            blocks.append(block)
        else:
            items = [item.replace("\n", " ") for item in ("\n" + block.strip()).split("\n- ")]
            first, *others = (" ".join(item.split()) for item in items)
            lines = [*([first] if first else []), *(f"- {item}" for item in others)]
            blocks.append("\n".join(_filled(line, width) for line in lines))
    return "\n\n".join(blocks) + "\n"


def _filled(line: str, width: int) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
