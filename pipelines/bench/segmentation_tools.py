"""What a user would take instead, beside this network on the same scans: the part of the page of segmentation."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.bench.other_tools import NAIVE, ONE_PASS, PASSES, TOOLS, TRIVIAL
from pipelines.bench.page import Results, figure, table
from pipelines.bench.segmentation_bars import TISSUES, Bar, trivial_bars
from pipelines.bench.segmentation_text import BESIDE_TRIVIAL
from pipelines.metrics import known_mean

Rows = Sequence[Mapping[str, Any]]
COMMAND = "pipelines/bench/baselines/tissues.py --method {tool} --out CACHE/baselines --icbm NILEARN_DATA SCANS"
FILLED = "grey_or_csf_if_nothing_is_csf"

TOOL_NAMES: Mapping[str, str] = {
    "this": "**this network, posterior and prior**",
    ONE_PASS: "this network, one pass, eager torch",
    NAIVE: f"this network, {PASSES} naive MC-dropout passes, eager torch",
    **TOOLS,
}


def tool_table(results: Results) -> str:
    """Each tool on the scans it ran on, with this network on the same scans in brackets."""
    this = {row["case"]: row["tissues"] for row in results["oasis"]}
    lines: list[list[object]] = [
        [
            TOOL_NAMES["this"],
            len(this),
            *(known_mean([one[key] for one in this.values()]) for key in TISSUES),
            f"{results['cpu_s']:.0f}",
        ]
    ]
    for tool in (name for name in TOOL_NAMES if name != "this"):
        own = [row for row in results["tools"] if row["tool"] == tool]
        if own:
            beside = [this[row["case"]] for row in own]
            pairs = [
                f"{figure(known_mean([r[k] for r in own]))} ({figure(known_mean([r[k] for r in beside]))})"
                for k in TISSUES
            ]
            lines.append([TOOL_NAMES[tool], len(own), *pairs, f"{known_mean([row['cpu_s'] for row in own]):.0f}"])
    return table(["", "scans", *TISSUES.values(), "CPU s a scan"], lines)


def missing(results: Results) -> str:
    """Which tools were not there, and what makes their results."""
    names = "; ".join(TOOLS[tool] for tool in results["missing_tools"])
    commands = " and ".join(f"`{COMMAND.format(tool=tool)}`" for tool in results["missing_tools"])
    if not names:
        return ""
    return (
        f" **Not found in the cache, so not in the table: {names}.** {commands}, in an environment of its own that the "
        "head of that file describes, makes what is missing."
    )


def beside_trivial(results: Results) -> str:
    """What the mixture does better and worse, in words that follow the figures."""
    said = [
        f"{_verdict(bar)} in {name} by {figure(abs(float(bar.reached)))} ({figure(bar.low)} to {figure(bar.high)})"
        for bar, name in zip(trivial_bars(results), TISSUES.values(), strict=True)
    ]
    oasis = results["oasis"]
    return BESIDE_TRIVIAL.format(
        said="; ".join(said),
        others=_others_ahead(results),
        nothing=100 * known_mean([row["brain_called_nothing"] for row in oasis]),
        own=figure(known_mean([row["tissues"]["grey_or_csf"] for row in oasis])),
        filled=figure(known_mean([row[FILLED] for row in oasis])),
    )


def _verdict(bar: Bar) -> str:
    return "ahead" if bar.low > 0 else "behind" if bar.high < 0 else "not told apart"


def _others_ahead(results: Results) -> str:
    """Where the mean of another tool is above that of this network on the same scans."""
    this = {row["case"]: row["tissues"] for row in results["oasis"]}
    found = []
    for tool in (name for name in TOOLS if name != TRIVIAL):
        own = [row for row in results["tools"] if row["tool"] == tool]
        for key, name in TISSUES.items():
            pair = known_mean([row[key] for row in own]), known_mean([this[row["case"]][key] for row in own])
            if pair[0] > pair[1]:
                found.append(f"{TOOLS[tool]} in {name} ({figure(pair[0])} to {figure(pair[1])}, {len(own)} scans)")
    return f"Others whose mean is above that of this network: {'; '.join(found) or 'none'}."


def naive_cost(tools: Rows) -> str:
    """What naive passes cost over one prediction, both measured in the same run."""
    ratios = [row["cpu_s"] / row["own_cpu_s"] for row in tools if row["tool"] == NAIVE]
    if not ratios:
        return f"The {PASSES} naive passes were not measured."
    return (
        f"Measured in the same run, {PASSES} naive passes cost {known_mean(ratios):.1f} times the CPU time of this "
        "network's whole prediction with its posterior and prior."
    )
