// Corrections: the segmentation becomes a drawing on the scanner's grid that can be painted, erased and relabelled.

import { colourMap } from "./viewer.js";

const PIECE_MM = 10;

export class Painter {
  constructor(viewer, panel) {
    this.viewer = viewer;
    this.nv = viewer.nv;
    this.panel = panel;
    this.active = false;
    this.changed = false;
    this.tool = "paint";
    this.button = panel.querySelector("#paint");
    this.palette = panel.querySelector("#palette");
    this.brush = panel.querySelector("#brush");
    this.button.disabled = false;
    this.button.addEventListener("click", () => (this.active ? this.rest() : this.start()));
    for (const button of panel.querySelectorAll("[data-tool]")) {
      button.addEventListener("click", () => this.take(button.dataset.tool));
    }
    panel.addEventListener("input", () => this.dip());
    panel.querySelector("#undo").addEventListener("click", () => this.nv.drawUndo());
    this.nv.canvas.addEventListener("mouseup", () => this.relabel());
    this.nv.onDrawingChanged = (action) => {
      if (action !== "load") this.changed = true;
    };
    window.addEventListener("beforeunload", (event) => {
      if (this.changed) event.preventDefault();
    });
  }

  covers(layer) {
    return layer === "segmentation" && Boolean(this.nv.drawBitmap);
  }

  start() {
    if (!this.nv.drawBitmap) {
      this.nv.setDrawColormap(colourMap(this.viewer.colours));
      this.nv.loadDrawing(this.viewer.layers.get("segmentation"));
    }
    this.active = true;
    this.palette.hidden = false;
    this.button.setAttribute("aria-pressed", true);
    this.dip();
    this.viewer.blend();
  }

  // Look again without painting; what was painted stays.
  rest() {
    this.active = false;
    this.palette.hidden = true;
    this.button.setAttribute("aria-pressed", false);
    this.nv.setDrawingEnabled(false);
  }

  take(tool) {
    this.tool = tool;
    for (const button of this.panel.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", button.dataset.tool === tool);
    }
    this.dip();
  }

  dip() {
    this.panel.querySelector("#brush-size").textContent = this.brush.value;
    if (!this.active) return;
    this.nv.opts.penSize = Number(this.brush.value);
    this.nv.setDrawingEnabled(this.tool !== "relabel");
    this.nv.setPenValue(this.tool === "erase" ? 0 : this.structure(), this.tool === "fill");
  }

  structure() {
    return Number(this.panel.querySelector("[name=structure]:checked").value);
  }

  widen(step) {
    this.brush.stepUp(step);
    this.dip();
  }

  relabel() {
    if (!this.active || this.tool !== "relabel") return;
    this.nv.drawFloodFill([...this.viewer.voxel()], this.structure(), 0, NaN, NaN, 6, PIECE_MM);
    this.nv.drawScene();
    this.changed = true;
  }

  labelAt([x, y, z]) {
    const [, nx, ny] = this.nv.back.dims;
    return this.nv.drawBitmap[x + nx * (y + ny * z)];
  }

  // The drawing as a compressed NIfTI on the scanner's grid.
  async volume() {
    const bytes = await this.nv.saveImage({ filename: "", isSaveDrawing: true, volumeByIndex: 0 });
    const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Response(packed).blob();
  }
}
