"""How long a reviewer waits for a case: from the click to its first slice, in chromium on the running review pages."""

import os
import re
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib

from pipelines.bench.page import Bench, Inputs, Results, run, table
from pipelines.progress import Unwatched
from pipelines.run import run as run_inbox
from pipelines.sample_heads import Grid, Head, acquire
from pipelines.settings import Settings, Tracking
from triage.dicom.write import write_classic_series
from triage.report.as_nifti import IMAGE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, StorageState

REPEATS = 5
BUDGET_S = 2.0
HEAD = Head(seed=21, turn_deg=(3, 2, -1), lesions=True)
GRID = Grid(axes="PIL", shape=(256, 256, 180), spacing_mm=(1.0, 1.0, 1.0))
SCREEN = (1600, 1000)
PICTURE, VIEWER, LAYERS = "picture", "viewer", "layers"
"""The first slice of the report; the first slices of NiiVue, which can be moved through; those with all overlays."""
WORDS = {PICTURE: "first slice, from the report", VIEWER: "first slices in the viewer", LAYERS: "with all overlays"}
WITH_WEBGL, WITHOUT_WEBGL = "with WebGL 2", "without"
NO_WEBGL = "HTMLCanvasElement.prototype.getContext = () => null;"
WATCH = """
window.seen = {};
const note = (name) => requestAnimationFrame(() => setTimeout(() => { window.seen[name] ??= performance.now(); }));
document.addEventListener("load", (event) => event.target.matches?.(".figures img") && note("picture"), true);
new MutationObserver(() => {
  const { state, layers } = document.querySelector("#viewer")?.dataset ?? {};
  if (state === "ready") note("viewer");
  if (layers === "ready") note("layers");
}).observe(document, { subtree: true, childList: true, attributes: true });
"""
"""Milliseconds from the start of the navigation to the frame after a thing was there."""
PAGE = """# How long a reviewer waits for a case

From the opening of a case's page to its first slice, in chromium {browser} on `brain-triage review`, both on this
machine of {cpus} cores, which draws without a graphics card. The case: {shape} voxels of 1 mm, a made-up head,
{image_mb:.1f} MB as compressed NIfTI, decided by the shipped pipeline. Seconds, median of {repeats} and in brackets the
slowest; every time a new browser profile, so nothing is in its cache. Before it began, {load:.1f} processes wanted the
machine. The budget is {budget:.0f} s.

{rows}
The slices of the report stand on the page until the viewer has the volume; without WebGL 2 they stay.

`python -m pipelines.bench.first_slice`
"""
LEFT_OUT = """# How long a reviewer waits for a case

Not measured here: {left_out}

`python -m pipelines.bench.first_slice`
"""


def measure(inputs: Inputs) -> Results:
    """A case of real size is made, decided and opened, as often as said above."""
    chromium = shutil.which("chromium")
    if chromium is None or find_spec("playwright") is None:
        return {"left_out": "it needs chromium and the package playwright (`pip install playwright`)."}
    from playwright.sync_api import sync_playwright

    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        settings = Settings(
            out=Path(temporary, "out"),
            state=Path(temporary, "state"),
            bundle=inputs.bundle,
            tracking=Tracking(on=False),
        )
        case = decided_case(Path(temporary, "inbox"), settings)
        image = settings.out / case / IMAGE
        with served(settings) as (address, link):
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            known = signed_in(browser, link)
            opened = {
                name: [first_slice(browser, f"{address}/cases/{case}", known, wanted, scripts) for _ in range(REPEATS)]
                for name, wanted, scripts in ((WITH_WEBGL, LAYERS, WATCH), (WITHOUT_WEBGL, PICTURE, NO_WEBGL + WATCH))
            }
            return {
                "load": load,
                "cpus": os.cpu_count(),
                "browser": browser.version,
                "shape": list(nib.load(image).shape),
                "image_mb": image.stat().st_size / 1e6,
                "ms": opened,
            }


def decided_case(inbox: Path, settings: Settings) -> str:
    """The pseudonym of a made-up head that went through the pipeline."""
    write_classic_series(acquire(HEAD, GRID), inbox, tags={"SeriesDescription": "t1_mprage_sag_iso", "EchoTime": 3.0})
    (outcome,) = run_inbox(inbox, settings, Unwatched()).outcomes
    return outcome.pseudonym


@contextmanager
def served(settings: Settings) -> Iterator[tuple[str, str]]:
    """Address of the running pages, and the link by which their owner comes in."""
    where = ["--out", str(settings.out), "--state", str(settings.state_folder), "--port", "0"]
    command = [sys.executable, "-m", "pipelines", "review", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603  this program
        try:
            assert running.stdout is not None
            said = [running.stdout.readline() for _ in range(3)]
            address = re.search(r"http://[0-9.:]+", said[0])
            assert address is not None, said
            yield address[0], said[2].strip()
        finally:
            running.send_signal(signal.SIGINT)


def signed_in(browser: "Browser", link: str) -> "StorageState":
    """The cookies of the owner."""
    page = browser.new_page()
    page.goto(link)
    password = secrets.token_urlsafe()
    page.fill("[name=password]", password)
    page.fill("[name=again]", password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/")
    known = page.context.storage_state()
    page.context.close()
    return known


def first_slice(
    browser: "Browser", address: str, known: "StorageState", wanted: str, scripts: str
) -> Mapping[str, float]:
    """Milliseconds from the start of the navigation to each thing on the page, until the wanted one is there."""
    width, height = SCREEN
    context = browser.new_context(storage_state=known, viewport={"width": width, "height": height})
    context.add_init_script(scripts)
    page = context.new_page()
    page.goto(address, wait_until="commit")
    page.wait_for_function(f"() => window.seen.{wanted}", timeout=120_000)
    seen: Mapping[str, float] = page.evaluate("window.seen")
    context.close()
    return seen


def write(results: Results, folder: Path) -> str:
    """The page."""
    del folder
    if "left_out" in results:
        return LEFT_OUT.format(**results)
    rows = [
        [WORDS[thing] if browser == WITH_WEBGL else f"{WORDS[thing]}, {browser} WebGL 2", _cell(opened, thing)]
        for browser, opened in results["ms"].items()
        for thing in (WORDS if browser == WITH_WEBGL else (PICTURE,))
    ]
    return PAGE.format(
        **{key: results[key] for key in ("browser", "cpus", "image_mb", "load")},
        shape=" x ".join(map(str, results["shape"])),
        repeats=REPEATS,
        budget=BUDGET_S,
        rows=table(["", "seconds"], rows),
    )


def _cell(opened: list[Mapping[str, Any]], thing: str) -> str:
    took = [one[thing] / 1000 for one in opened]
    median = statistics.median(took)
    over = "" if median <= BUDGET_S or thing == LAYERS else ": **over the budget**"
    return f"**{median:.2f}** ({max(took):.2f}){over}"


BENCH = Bench(name="first_slice", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
