"""What anatomy is worth: `python -m pipelines.bench.prior` writes docs/benchmarks/prior.md."""

import json

import torch

from models.bundle import METADATA
from pipelines.bench.page import Bench, Inputs, Results, run
from pipelines.bench.prior_conflict import measure_conflict
from pipelines.bench.prior_networks import measure_networks
from pipelines.bench.prior_page import write
from pipelines.bench.prior_poses import measure_label_maps, measure_scans
from pipelines.bench.prior_worth import measure_heads, measure_variants, measure_worth
from pipelines.engine import load_engine
from pipelines.scans import read_scans

OASIS = ("malf_1000", "malf_1011", "malf_1006", "malf_1014")
"""Two of the tune split, two of the test split, all with manual labels."""
IXI = ("ixi_IXI014-HH-1236", "ixi_IXI048-HH-1326", "ixi_IXI072-HH-2324")
"""Of the test split, with automatic labels; what costs little is measured on SILVER of them."""
REGISTERED = (*OASIS, "malf_1001", *IXI, "ixi_IXI095-HH-1390", "ixi_IXI096-HH-1391")
SILVER = 10

TUNE = 6
"""Scans of the tune split for what needs no more: two with manual, four with automatic labels."""


def measure(inputs: Inputs) -> Results:
    """Everything of the page; each part keeps its figures in the cache."""
    engine = load_engine(inputs.bundle)
    settings = json.loads((inputs.bundle / METADATA).read_text())["brain_triage"]
    frequency = torch.tensor(settings["training_prior"])
    scans = {scan.name: scan for scan in read_scans(inputs.cases, ["tune", "calibrate", "test"])}
    silver = [scan for scan in scans.values() if scan.split == "test" and scan.labels and not scan.manual][:SILVER]
    worth = [*(scans[name] for name in OASIS), *silver]
    tune = [scan for scan in scans.values() if scan.split == "tune" and scan.labels][:TUNE]
    return {
        "bundle": f"{engine.bundle.name} {engine.bundle.version}",
        "settings": {key: settings.get(key) for key in ("beta", "temperature", "training_prior_exponent", "prior_fit")},
        "worth": measure_worth(inputs, engine, frequency, worth),
        "variants": measure_variants(inputs, engine, frequency, tune),
        "label_maps": measure_label_maps(inputs, engine),
        "registered": measure_scans(inputs, engine, [scans[name] for name in REGISTERED]),
        "conflict": measure_conflict(inputs, engine, tune),
        "networks": measure_networks(inputs, worth),
        "heads": measure_heads(inputs, engine, frequency, [scans[name] for name in (*OASIS, *IXI)]),
    }


BENCH = Bench(name="prior", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
