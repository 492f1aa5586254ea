"""The page of the live monitor."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.bench.page import COLOURS, Results, bar_line, figure, plot, table

PAGE = """# The live monitor: false alarms and delays

The gate promises a failure rate among accepted cases. `brain-triage monitor` asks whether the promise still holds: a
random {blind:.0%} of the accepted cases is read blindly, and every signal of every accepted case is ranked among those
of calibration and all before. Both feed bets against the promise. As long as it holds, their wealth ever reaches 20
with probability 5 % at most (Ville's inequality), however often one looks. At 20 the gate is tightened, at 200 it
closes.

Simulated: {signals} signals with half of their variance in common, a score as the gate's, {calibration} calibration
cases, {accepted:.0%} of cases accepted. The monitor is the product's own, and the tightened gate is in the loop.

## False alarms

Over {cases:,} cases without any change, with as many failures among the accepted as were promised ({risk:.0%}), the
gate was tightened in **{alarms} of {runs} sites, {share:.1%}** (95 % interval {low:.1%} to {high:.1%}; the bar is
5 %), and closed in {closed}.

## Delays

After {quiet:,} quiet cases (of the accepted {few:.0%} fail) something changes. Cases that arrive from then on until the
alarm, over {delay_runs} sites each; the last column counts, for the median site, failures that were still accepted:

{delays}
{early} of {all_runs} sites had an alarm before anything changed and are left out.

![Evidence of five sites around the change of scanner, and share of sites with an alarm](monitor.png)

- **What moves a signal is found soon**: every accepted case is ranked, and the alarm needs no reader.
- **Cleaner live cases cost time at first.** Calibration holds damaged scans, a clinic fewer, and only what is worse
  than calibration and all accepted before speaks against the gate. So the first rows, where live cases before the
  change are as those of calibration, are optimistic for a clinic until its own cases outnumber calibration's: the last
  two rows.
- **What moves no signal is found by blind reviews alone**, and these are {blind:.0%} of the accepted cases. In reviews
  the delay is short, in cases it is {per_review:.0f} times as long, and much fails meanwhile. `blind_review` in the
  settings buys speed with reading time: it is the one thing that does.

On the same blind reviews at the same level, with a failure rate that goes from {few:.0%} to 50 %, the alarm comes after
{ours:.0f} reviews, the median of {mapie_runs} runs; that of MAPIE's `RiskMonitoring`, an empirical Bernstein bound
(Podkopaev and Ramdas 2022), after {mapie}.

What is assumed: whether a drawn case has been read yet does not depend on whether it failed. A reader's "correct"
counts as a failure, however small the correction was, so the monitor errs towards alarms.

`python -m pipelines.bench.monitor`
"""


def write(results: Results, folder: Path) -> str:
    """Table, plot and text."""
    null, settings, delays = results["null"], results["settings"], results["delays"]
    draw(results, folder / "monitor.png")
    return PAGE.format(
        **settings,
        **{key: null[key] for key in ("cases", "runs", "alarms", "closed", "accepted")},
        share=null["alarms"] / null["runs"],
        low=null["interval"][0],
        high=null["interval"][1],
        delay_runs=delays[0]["runs"],
        delays=table(
            ("what changes", "tightened: median", "90 %", "closed: median", "90 %", "failures accepted until closed"),
            [
                (
                    one["name"],
                    *(_cases(quantile(one[kind], q)) for kind in ("tightened", "closed") for q in (0.5, 0.9)),
                    figure(one["harm"], 0),
                )
                for one in delays
            ],
        ),
        early=sum(one["early"] for one in delays),
        all_runs=sum(one["runs"] for one in delays),
        per_review=1 / (settings["blind"] * null["accepted"]),
        ours=quantile(results["mapie"]["ours"], 0.5),
        mapie=_cases(quantile(results["mapie"]["mapie"], 0.5)),
        mapie_runs=len(results["mapie"]["ours"]),
    )


def quantile(delays: Sequence[int | None], q: float) -> float:
    """Of delays where None is never: the smallest that at least this share of sites does not exceed."""
    ordered = sorted(math.inf if delay is None else delay for delay in delays)
    return ordered[math.ceil(q * len(ordered)) - 1]


def draw(results: Results, path: Path) -> None:
    """Left: evidence of single sites. Right: share of sites that gave an alarm by then."""
    with plot(path, columns=2, inches=(9.0, 4.0)) as (left, right):
        scanner = next(one for one in results["delays"] if one["paths"])
        for evidence in scanner["paths"]:
            left.semilogy(np.arange(len(evidence)) - 199, evidence, color=COLOURS[0], alpha=0.7, linewidth=1.1)
        left.axvline(0, color="#555555", linewidth=0.8)
        bar_line(left, 20, "tightened")
        bar_line(left, 200, "closed")
        left.set(xlabel="cases since the change", ylabel="evidence", title="A new scanner, five sites")
        left.set_xlim(-200, 120)
        for colour, one in zip(COLOURS, results["delays"], strict=False):
            known = sorted(delay for delay in one["tightened"] if delay is not None)
            share = np.arange(1, len(known) + 1) / len(one["tightened"])
            right.step([5, *known], [0, *share], where="post", color=colour, label=one["name"])
        right.set(
            xscale="log", ylim=(0, 1.02), xlabel="cases since the change", title="Share of sites with a tightened gate"
        )
        right.set_xlim(5, None)
        right.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def _cases(value: float) -> str:
    return "more than watched" if math.isinf(value) else f"{value:,.0f}"
