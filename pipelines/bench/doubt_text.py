"""What the page on doubt says."""

PAGE = """# Does it know what it does not know?

The claim that began it all: far from its training data a softmax stays sure of itself, a Bayesian network does not. Here
inputs are moved away from training step by step ({scans} scans, half of the test and half of the tune split, half
stripped with manual labels and half whole heads with automatic ones; four kinds of damage at five levels, see
`pipelines.degrade`), and replaced by what is no brain at all. Model: {bundle}. Entropies and mutual information are means
over what is called brain, on one voxel of eight. *Softmax* is the mean head; *with temperature* the same divided by the
fitted temperature; *posterior* the mean of {samples} heads drawn from the posterior; *and prior* is what the product
uses. Error is 1 - mean Dice over eight structures.

![Error, entropy, mutual information, and density and conflict, against the level of damage](doubt-levels.png)

Lines are means over scans in the band of all of them. The dashed line is what sends a case to a human by that signal
alone.

## What the posterior sees, and what it does not

- **Entropy rises with damage, for the softmax as for the posterior.** At level 5 of noise it is {noise_softmax} times that
  of the clean scan for the softmax and {noise_posterior} times for the posterior; of motion {motion_softmax} and
  {motion_posterior}; of missing slices {missing_slices_softmax} and {missing_slices_posterior}; of the wrong contrast
  {contrast_inversion_softmax} and {contrast_inversion_posterior}.
- **Over the head alone the posterior adds little to a temperature.** On clean scans its entropy is {over_softmax} % above
  that of the softmax with temperature, and its mutual information {share_information} % of its entropy: what is unsure
  here is the labels, not the weights of a linear head that hundreds of thousands of cells have fixed.
- **It is nearly blind to the wrong contrast**: the error goes from {clean_error} to {contrast_inversion_error}, the
  entropy rises {contrast_inversion_posterior} times, mutual information {contrast_inversion_information} times. The feature density
  rises {contrast_inversion_density} times. That is why the gate asks density and anatomy too, and why an ensemble differs
  in more than the head (`last_block.md`).
- **Entropy is no measure of error across kinds of damage.** Noise at level 5 raises it {noise_posterior} times at an error
  of {noise_error}; motion {motion_posterior} times at an error of {motion_error}.

{rises}
Conflict is left out there: its zero is arbitrary.

## Doubt against error

![Each measure of doubt against the error, a point a scan](doubt-errors.png)

Spearman's correlation with the error, over the scans as they are and one kind of damage, and over all {labelled}; and the
area under the ROC curve for failure, which is a mean Dice more than {bad_loss} below that of the same scan undamaged
({failures} of {labelled}). The rows of a scan are not independent, so small differences mean nothing.

{agreement}
## What is no brain

{nothing}
Refused by the preprocessing: {refused}. Conflict above 0 says that a brain at this pose explains the image worse than a
brain anywhere.

## Would a saliency map tell the truth?

A map of the gradient of the brain's entropy with regard to the image, by three methods, on the middle of two scans
(96 x 128 x 96 mm). Its sanity check (Adebayo et al. 2018, arXiv:1810.03292): weights made random, stage by stage from the
output to the input, must change it. Spearman's correlation over the brain with the map of the trained network, and of
that with the edges of the image and with the map of entropy.

{saliency}
{verdict}
"""

SANE = 0.5
"""A map that agrees more than this with that of a random network fails the check."""


def verdict(left: float, backward: float, with_entropy: float) -> str:
    """left: largest agreement with an all-random network. backward: seconds over those of a forward pass."""
    cost = (
        f"One gradient takes {backward:.1f} times the forward pass on eager torch, and its map agrees with that of the "
        f"entropy, which every case already has, by {with_entropy:.2f} at most."
    )
    if left > SANE:
        return (
            f"The check fails: with all weights random a map still agrees by up to {left:.2f} with that of the trained "
            f"network, so it shows much of the image and little of what was learnt. {cost} The product has no saliency map."
        )
    return (
        f"The check passes: with all weights random the maps agree by at most {left:.2f} with those of the trained "
        f"network. {cost} It says which voxels the entropy depends on, not what a reader should look at, and a case would "
        f"take longer than its budget: the product has no saliency map, and shows the entropy where it is."
    )
