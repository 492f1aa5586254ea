// Dark, as reading rooms are, unless this browser was told otherwise.

const root = document.documentElement;

function wear(theme) {
  root.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

root.dataset.theme = localStorage.getItem("theme") === "light" ? "light" : "dark";
document.addEventListener("DOMContentLoaded", () => {
  document.querySelector("#theme")?.addEventListener("click", () => wear(root.dataset.theme === "dark" ? "light" : "dark"));
});
