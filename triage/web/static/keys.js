// Keys of a page: one table of [keys, what they do, action]; "?" shows it. Keys typed into a field are left alone.

const TYPES = new Set(["text", "search", "password", "number", "file"]);

function typing(target) {
  return target.matches("textarea, select") || (target.matches("input") && TYPES.has(target.type));
}

function show(table) {
  const dialog = document.querySelector("#keys");
  const list = dialog.querySelector("dl");
  list.replaceChildren(
    ...table.flatMap(([keys, words]) => {
      const [term, meaning] = [document.createElement("dt"), document.createElement("dd")];
      for (const key of keys) {
        const name = document.createElement("kbd");
        name.textContent = key === " " ? "Space" : key;
        term.append(name);
      }
      meaning.textContent = words;
      return [term, meaning];
    }),
  );
  dialog.showModal();
}

export function listen(table) {
  const actions = new Map(table.flatMap(([keys, , action]) => keys.map((key) => [key, action])));
  actions.set("?", () => show(table));
  document.querySelector("#show-keys")?.addEventListener("click", () => show(table));
  // Capturing, so that the viewer's own keys do not act too.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (event.target.closest("dialog")) return;
      if (typing(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      const onControl = event.target.closest("button, a, summary, input");
      if (onControl && (event.key === " " || event.key === "Enter")) return;
      const action = actions.get(event.key);
      if (!action) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      action();
    },
    true,
  );
}

export function press(selector) {
  const element = document.querySelector(selector);
  if (element && !element.disabled) element.click();
}
