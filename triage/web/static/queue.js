// The queue by keyboard: j and k walk through the cases, Enter opens one.

import { listen } from "./keys.js";

const links = [...document.querySelectorAll("#cases a.open")];

function walk(step) {
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next].focus();
}

listen([
  [["j"], "next case", () => walk(1)],
  [["k"], "previous case", () => walk(-1)],
  [["Enter"], "open the case", () => (links.includes(document.activeElement) ? document.activeElement : links[0])?.click()],
  [["/"], "search by pseudonym", () => document.querySelector("#search").focus()],
]);
