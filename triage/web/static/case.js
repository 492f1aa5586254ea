// The page of a case: viewer, painting, verdict, and the keys of all three.

import { listen, press } from "./keys.js";
import { Painter } from "./paint.js";
import { choose, holdWhileUsed, keepCorrection } from "./verdict.js";
import { Viewer } from "./viewer.js";

const places = [...document.querySelectorAll("button[data-mm]")];
const form = document.querySelector("#opinion");
const element = document.querySelector("#viewer");
const viewer = element && new Viewer(element);
const VERDICTS = ["accept", "correct", "reject", "not_assessable"];
const millimetres = (place) => place.dataset.mm.split(",").map(Number);
let at = 0;

function go(number) {
  if (!places.length) return;
  at = (number + places.length) % places.length;
  places.forEach((place, n) => place.setAttribute("aria-current", n === at));
  viewer?.jump(millimetres(places[at]));
}

function flip(selector) {
  const box = element?.querySelector(selector);
  if (!box) return;
  box.checked = !box.checked;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

async function open() {
  const note = element.querySelector("#viewer-note");
  try {
    await viewer.open(places.length ? millimetres(places[0]) : null);
    note.textContent = "";
    const panel = element.querySelector(".paint");
    if (panel && form) {
      viewer.painter = new Painter(viewer, panel);
      panel.querySelector("#keep").addEventListener("click", (event) => keepCorrection(form, viewer.painter, event.target));
    }
  } catch (error) {
    element.dataset.state = "figures";
    note.textContent = `No viewer, since ${error.message}. These are the slices of the report; the download holds all of it.`;
  }
}

places.forEach((place, n) => place.addEventListener("click", () => go(n)));
places[0]?.setAttribute("aria-current", true);
if (viewer) open();
if (form) {
  holdWhileUsed(form);
  for (const box of form.querySelectorAll("[name=verdict]")) {
    box.addEventListener("change", () => {
      for (const code of form.querySelectorAll("[name=code]")) code.checked = false;
    });
  }
}

const layer = (name) => () => flip(`[data-layer=${name}] [type=checkbox]`);
listen([
  [["j"], "next place to look at", () => go(at + 1)],
  [["k"], "place before it", () => go(at - 1)],
  [[" "], "overlays on and off", () => flip("#overlays")],
  [["s"], "segmentation on and off", layer("segmentation")],
  [["e"], "entropy on and off", layer("entropy")],
  [["f"], "conflict with anatomy on and off", layer("conflict")],
  [["c"], "take the case, or give it back", () => press("#claim, #release")],
  ...VERDICTS.map((verdict, n) => [[`${n + 1}`], verdict.replace("_", " "), () => form && choose(form, verdict)]),
  [["n"], "write a note", () => document.querySelector("#note")?.focus()],
  [["p"], "paint a correction, or look again", () => press("#paint")],
  [["["], "smaller brush", () => viewer?.painter?.widen(-1)],
  [["]"], "larger brush", () => viewer?.painter?.widen(1)],
  [["z"], "undo what was painted", () => press("#undo")],
  [["q"], "back to the queue", () => press("#back")],
]);
