// The form of the verdict: it keeps the case in hand, takes corrections along, and leads from a verdict to its reasons.

const RENEW_MS = 4 * 60 * 1000;
const RESTS_MS = 15 * 60 * 1000;
const SIGNS_OF_LIFE = ["pointerdown", "pointermove", "wheel", "keydown"];

export async function send(url, form, fields = {}) {
  const body = new FormData();
  for (const name of ["token", "item"]) body.append(name, new FormData(form).get(name)); // form.elements.item is a method
  for (const [name, [value, file]] of Object.entries(fields)) body.append(name, value, file);
  const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } }).catch(() => {
    throw new Error("The site does not answer. Try again in a moment.");
  });
  const content = await answer.json().catch(() => {
    throw new Error(`The answer (${answer.status}) did not come from this site. Try again in a moment.`);
  });
  if (!answer.ok) throw new Error(`${content.message} ${content.do}`);
  return content;
}

// Holds the case while somebody is at the page. Who rests too long lets it go, and asks for it again by coming back.
export function holdWhileUsed(form) {
  const lease = form.querySelector("#lease");
  const until = lease.querySelector("time");
  let touched = Date.now();
  const rests = () => Date.now() - touched >= RESTS_MS;
  const renew = async () => {
    try {
      until.textContent = `${(await send(form.dataset.renew, form)).until.slice(11, 16)} UTC`;
    } catch (error) {
      lease.textContent = error.message;
      lease.classList.add("alarm");
    }
  };
  const touch = () => {
    const rested = rests();
    touched = Date.now();
    if (rested) renew();
  };
  for (const sign of SIGNS_OF_LIFE) document.addEventListener(sign, touch, { capture: true, passive: true });
  setInterval(() => rests() || renew(), RENEW_MS);
}

export async function keepCorrection(form, painter, button) {
  const note = document.querySelector("#paint-note");
  button.disabled = true;
  note.textContent = "Keeping it …";
  let volume = null;
  try {
    volume = await painter.volume();
    const kept = await send(button.dataset.url, form, { file: [volume, "correction.nii.gz"] });
    form.querySelector("#correction").value = kept.sha256;
    form.querySelector("#kept").textContent = `A correction of ${kept.ml.toFixed(2)} ml is kept and goes with your verdict.`;
    note.textContent = "Kept.";
    painter.changed = false;
    choose(form, "correct");
  } catch (error) {
    note.textContent = `${error.message} `;
    if (volume) note.append("The drawing is still here: ", copyOf(volume, painter, button.dataset.file), ", to upload it later.");
  } finally {
    button.disabled = false;
  }
}

// A link that saves what the site did not take.
function copyOf(volume, painter, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(volume);
  link.download = name;
  link.textContent = "save it as a file";
  link.addEventListener("click", () => (painter.changed = false));
  return link;
}

export function choose(form, verdict) {
  const box = form.querySelector(`[name=verdict][value=${verdict}]`);
  if (!box.checked) {
    box.checked = true;
    for (const code of form.querySelectorAll("[name=code]")) code.checked = false;
  }
  form.querySelector(`.codes.${verdict} input`).focus();
}
