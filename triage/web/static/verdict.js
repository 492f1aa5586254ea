// The form of the verdict: it keeps the case in hand, takes corrections along, and leads from a verdict to its reasons.

const RENEW_MS = 4 * 60 * 1000;

export async function send(url, form, fields = {}) {
  const body = new FormData();
  for (const name of ["token", "item"]) body.append(name, new FormData(form).get(name)); // form.elements.item is a method
  for (const [name, [value, file]] of Object.entries(fields)) body.append(name, value, file);
  const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
  const content = await answer.json();
  if (!answer.ok) throw new Error(`${content.message} ${content.do}`);
  return content;
}

export function holdWhileOpen(form) {
  const lease = form.querySelector("#lease");
  const renew = async () => {
    try {
      await send(form.dataset.renew, form);
    } catch (error) {
      lease.textContent = error.message;
      lease.classList.add("alarm");
    }
  };
  setInterval(renew, RENEW_MS);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && renew());
}

export async function keepCorrection(form, painter, button) {
  const note = document.querySelector("#paint-note");
  button.disabled = true;
  note.textContent = "Keeping it …";
  try {
    const volume = await painter.volume();
    const kept = await send(button.dataset.url, form, { file: [volume, "correction.nii.gz"] });
    form.querySelector("#correction").value = kept.sha256;
    form.querySelector("#kept").textContent = `A correction of ${kept.ml.toFixed(2)} ml is kept and goes with your verdict.`;
    note.textContent = "Kept.";
    painter.changed = false;
    choose(form, "correct");
  } catch (error) {
    note.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

export function choose(form, verdict) {
  const box = form.querySelector(`[name=verdict][value=${verdict}]`);
  if (!box.checked) {
    box.checked = true;
    for (const code of form.querySelectorAll("[name=code]")) code.checked = false;
  }
  form.querySelector(`.codes.${verdict} input`).focus();
}
