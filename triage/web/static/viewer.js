// The case in NiiVue: three linked planes, overlays with their opacity, jumps to the places to look at first.
// Slices only: a rendered head shows a face.

const [AXIAL, CORONAL, SAGITTAL] = [0, 1, 2]; // as NiiVue counts slice types
const ONE_PLANE = [0, 0, 1, 1];
const LAYOUTS = {
  all: [
    { sliceType: AXIAL, position: [0, 0, 0.6, 1] }, // left, top, width, height, as shares of the screen
    { sliceType: CORONAL, position: [0.6, 0, 0.4, 0.49] },
    { sliceType: SAGITTAL, position: [0.6, 0.51, 0.4, 0.49] },
  ],
  axial: [{ sliceType: AXIAL, position: ONE_PLANE }],
  coronal: [{ sliceType: CORONAL, position: ONE_PLANE }],
  sagittal: [{ sliceType: SAGITTAL, position: ONE_PLANE }],
};
const SIDES = [["R", "L"], ["A", "P"], ["S", "I"]];
const CLEAR_BELOW_MIN = 1; // NiiVue's colormapType: opaque from cal_min on, ever clearer below it

// Colours as NiiVue takes them; the first one, of what is outside or certain, is clear.
export function colourMap(colours) {
  const channel = (n) => colours.map((colour) => colour[n]);
  return { R: channel(0), G: channel(1), B: channel(2), A: colours.map((_, n) => (n ? 255 : 0)) };
}

function scale(colours) {
  return { ...colourMap(colours), I: colours.map((_, n) => Math.round((255 * n) / (colours.length - 1))) };
}

// NiiVue works out the gradient at every voxel, again whenever a layer changes; slices show none. Into one pixel that
// costs nothing.
function leaveOutGradients(nv) {
  for (const shader of [nv.blurShader, nv.sobelFirstOrderShader]) {
    const use = shader.use.bind(shader);
    shader.use = (gl) => {
      use(gl);
      gl.viewport(0, 0, 1, 1);
    };
  }
}

export class Viewer {
  constructor(element) {
    this.element = element;
    this.rows = [...element.querySelectorAll("[data-layer]")];
    this.overlays = element.querySelector("#overlays");
    this.colours = JSON.parse(element.dataset.colours);
    this.names = JSON.parse(element.dataset.names);
    this.layers = new Map(); // name of a layer to its volume
    this.painter = null;
    this.frame = 0;
    element.addEventListener("input", () => {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.blend());
    });
    for (const button of element.querySelectorAll("[data-planes]")) {
      button.addEventListener("click", () => this.show(button));
    }
  }

  // The image first, so that a reader can begin; then its layers. start: millimetres of the crosshair, or null.
  async open(start) {
    if (!document.createElement("canvas").getContext("webgl2")) {
      throw new Error("this browser has no WebGL2");
    }
    await import("./vendor/niivue/niivue.umd.js"); // large: the keys and the verdict do not wait for it
    this.nv = new window.niivue.Niivue({
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      crosshairColor: [0.37, 0.84, 1, 0.85],
      crosshairWidthUnit: "mm",
      crosshairWidth: 1,
      crosshairGap: 5,
      showAllOrientationMarkers: true,
      fontColor: [0.92, 0.95, 0.98, 1],
      tileMargin: 2,
      isForceMouseClickToVoxelCenters: true,
      dragAndDropEnabled: false,
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
      loadingText: "",
      logLevel: "silent",
    });
    this.nv.addColormap("entropy", scale(JSON.parse(this.element.dataset.ramp)));
    this.nv.addColormap("conflict", scale([[8, 40, 60], [30, 150, 190], [220, 250, 255]]));
    this.nv.customLayout = LAYOUTS.all;
    await this.nv.attachToCanvas(this.element.querySelector("canvas"));
    leaveOutGradients(this.nv);
    await this.nv.loadVolumes([{ url: this.element.dataset.image, colormap: "gray" }]);
    this.nv.onLocationChange = (location) => this.tellWhere(location);
    if (start) this.jump(start);
    this.element.dataset.state = "ready";
    const volumes = await Promise.all(this.rows.map((row) => this.load(row.dataset)));
    this.nv.volumes.push(...volumes);
    for (const row of this.rows) this.blendRow(row);
    this.nv.setVolume(volumes.at(-1), volumes.length); // once for all: every call draws everything again
    this.element.dataset.layers = "ready";
    this.nv.createOnLocationChange();
  }

  async load({ layer, url, top }) {
    const scaled = top ? { colormap: layer, cal_min: top / 2, cal_max: Number(top) } : {};
    const volume = await window.niivue.NVImage.loadFromUrl({ url, name: url, ...scaled });
    if (top) volume.colormapType = CLEAR_BELOW_MIN;
    else volume.setColormapLabel(colourMap(this.colours));
    this.layers.set(layer, volume);
    return volume;
  }

  blend() {
    if (this.element.dataset.layers !== "ready") return;
    for (const row of this.rows) this.blendRow(row);
    if (this.painter) this.nv.drawOpacity = this.opacity(this.rows[0]);
    this.nv.updateGLVolume();
  }

  blendRow(row) {
    const { layer } = row.dataset;
    this.layers.get(layer).opacity = this.painter?.covers(layer) ? 0 : this.opacity(row);
  }

  opacity(row) {
    const shown = this.overlays.checked && row.querySelector("[type=checkbox]").checked;
    return shown ? Number(row.querySelector("[type=range]").value) / 100 : 0;
  }

  show(button) {
    for (const other of this.element.querySelectorAll("[data-planes]")) {
      other.setAttribute("aria-pressed", other === button);
    }
    this.nv?.setCustomLayout(LAYOUTS[button.dataset.planes]);
  }

  jump(mm) {
    if (!this.nv?.volumes.length) return;
    this.nv.scene.crosshairPos = this.nv.mm2frac(mm);
    this.nv.createOnLocationChange();
    this.nv.drawScene();
  }

  voxel() {
    return this.nv.frac2vox(this.nv.scene.crosshairPos);
  }

  tellWhere({ mm, values }) {
    const at = [...mm].slice(0, 3).map((n, axis) => `${SIDES[axis][n >= 0 ? 0 : 1]} ${Math.abs(n).toFixed(0)}`);
    const value = (layer) => values[this.nv.volumes.indexOf(this.layers.get(layer))]?.value;
    const label = this.painter?.active ? this.painter.labelAt(this.voxel()) : value("segmentation");
    const parts = [`${at.join(", ")} mm`];
    if (label !== undefined) parts.push(this.names[Math.round(label)]);
    for (const layer of ["entropy", "conflict"]) {
      const nats = value(layer);
      if (nats !== undefined) parts.push(`${layer} ${nats.toFixed(2).replace("-", "−")} nats`);
    }
    this.element.querySelector("#whereabouts").textContent = parts.join("  ·  ");
  }
}
