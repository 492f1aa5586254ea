"""The words of the page of the gate."""

PAGE = """# The gate: a limit with a promise

Model: {bundle}. What every page of a report says:

> {promise}

Here the same gate looks at {n} subjects that it was not set on: {n_test} of the test split and {n_pathology} elderly
with white-matter lesions and atrophy, each with one damage drawn from the mixture of the certificate: {mixture}.
{refused} more were refused before a network saw them. {other_ages} are of ages that the promise does not speak for: a
human sees them whatever their score. A case fails by its measurements; a missed lesion counts only where a row says so.

## The bars

{bars}
Intervals are over subjects drawn again. AURC is the mean share of failures among the accepted, over all limits; AUGRC
the mean share of accepted failures among all cases (Traub et al. 2024, arXiv:2407.01032); lower is better.

![Risk against coverage, and failures caught against cases flagged]({plot})

**What this says.** {bad} of the {n_test} cases of the test split fail, {bad_clean} of its {n_clean} scans as they
are: with a network whose Dice lies so near to the limits, many failures lie just beyond them (last table but one),
and no doubt tells .79 from .81. With so many failures the bar of catching them is out of reach of any score: one that
ranked every failure first would catch {at_best} of them at {flagged} flagged, with the elderly {at_best_all}. In the
elderly {bad_pathology} of {n_pathology} fail, {cerebellum} of them by the volume of the cerebellar grey matter among
others; they are outside of the promise. What would move the bars is a better network first, then more labelled subjects
than {n_calibrate}.

## What is certified

{levels}
On the calibrate split, one case a subject; all levels together spend one delta. With missed lesions counted as well:

{lesion_levels}
Each group by itself, at the limit of the gate. These {n_groups} bounds hold together with the same confidence: each
spends an equal share of delta (Bonferroni), since a reader picks the groups to look at.

{groups}
What counts as failed, by who drew the labels. A volume is compared with what is usual under these labels, and where the
habits of labels are no failure the limits are wider than 0.8 and 10%:

{habits}
## On subjects that the limit was not set on

{splits}
{damages}
{missed}
{scores}
`python -m pipelines.bench.gate`; certified by `brain-triage calibrate`.
"""
