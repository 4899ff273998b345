// What happens in the browser alone: relative times, keyboard. User strings are only ever text.
"use strict";

const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [2592000, "day", 86400], [Infinity, "month", 2592000]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "long" });

class TimeAgo extends HTMLElement {
  static observedAttributes = ["at"];
  static all = new Set();
  connectedCallback() { TimeAgo.all.add(this); this.draw(); }
  disconnectedCallback() { TimeAgo.all.delete(this); }
  attributeChangedCallback() { this.draw(); }
  draw() {
    const at = this.getAttribute("at");
    const then = at ? new Date(at) : null;
    if (!then || isNaN(then)) { this.textContent = "–"; return; }
    const seconds = (then - Date.now()) / 1000;
    const [, unit, size] = STEPS.find(([limit]) => Math.abs(seconds) < limit);
    const said = Math.abs(seconds) < 5 ? "just now" : relative.format(Math.round(seconds / size), unit);
    if (this.textContent !== said) this.textContent = said;
    this.title = then.toLocaleString();
  }
}
customElements.define("time-ago", TimeAgo);
setInterval(() => { if (!document.hidden) TimeAgo.all.forEach((one) => one.draw()); }, 5000);

// A duration that goes on: from `from` to `to`, or until now.
class TimeTaken extends HTMLElement {
  static observedAttributes = ["from", "to"];
  static all = new Set();
  connectedCallback() { TimeTaken.all.add(this); this.draw(); }
  disconnectedCallback() { TimeTaken.all.delete(this); }
  attributeChangedCallback() { this.draw(); }
  draw() {
    const from = this.getAttribute("from"), to = this.getAttribute("to");
    if (!from) { this.textContent = "–"; return; }
    let s = Math.max(0, Math.round(((to ? new Date(to) : new Date()) - new Date(from)) / 1000));
    const parts = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]].map(([size, unit]) => { const n = Math.floor(s / size); s %= size; return [n, unit]; });
    const first = parts.findIndex(([n]) => n > 0);
    this.textContent = first < 0 ? "0s" : parts.slice(first, first + 2).map(([n, u]) => n + u).join(" ");
  }
}
customElements.define("time-taken", TimeTaken);
setInterval(() => { if (!document.hidden) TimeTaken.all.forEach((one) => one.getAttribute("to") || one.draw()); }, 1000);

const PLACES = { h: "/", e: "/experiments", p: "/charts", r: "/reports", n: "/notebooks", m: "/models", s: "/endpoints", t: "/templates", v: "/environments", c: "/clusters", ",": "/settings" };
// A page with edits that nobody has stored says so (leaving.py): the browser asks before they are lost.
addEventListener("beforeunload", (event) => { if (window.hasEdits) event.preventDefault(); });
let gone = 0;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable=true], .cm-editor")) return;
  if (Date.now() - gone < 1500 && PLACES[event.key]) { gone = 0; location.assign(PLACES[event.key]); return; }
  gone = event.key === "g" ? Date.now() : 0;
  // The page's own field before the search of everything.
  const search = (where) => document.querySelector(`${where} [data-search] input, ${where} input[data-search]`);
  if (event.key === "/") { event.preventDefault(); const field = search("#main"); if (field) { field.focus(); field.select(); } else openPalette(); }
  if (event.key === "?") document.querySelector("dialog.keys")?.showModal();
});
document.addEventListener("DOMContentLoaded", () => {
  const dialog = document.createElement("dialog"); dialog.className = "keys"; dialog.setAttribute("aria-label", "Keyboard shortcuts");
  const title = document.createElement("h2"); title.textContent = "Keyboard shortcuts";
  const table = document.createElement("table");
  const named = { [isMac ? "⌘ K" : "Ctrl K"]: "Search everything, or run an action", "/": "Search this page", "g h": "Home", "g e": "Experiments", "g p": "Charts (plots)", "g r": "Reports", "g t": "Templates", "g v": "Environments", "g n": "Notebooks", "g m": "Models", "g s": "Endpoints", "g c": "Clusters", "g ,": "Settings", "?": "Show shortcuts", Esc: "Close" };
  for (const [keys, what] of Object.entries(named)) { const row = table.insertRow(); const key = document.createElement("kbd"); key.textContent = keys; row.insertCell().append(key); row.insertCell().textContent = what; }
  dialog.append(title, table); document.body.append(dialog);
});
// Copy buttons: <… data-copy="text">, or what the element of that id says.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const text = button.dataset.copy ?? document.getElementById(button.dataset.copyFrom)?.textContent ?? "";
  try { await navigator.clipboard.writeText(text); } catch { const area = document.createElement("textarea"); area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove(); }
  const was = button.getAttribute("aria-label"); button.setAttribute("aria-label", "Copied"); button.classList.add("good");
  setTimeout(() => { was === null ? button.removeAttribute("aria-label") : button.setAttribute("aria-label", was); button.classList.remove("good"); }, 1200);
});
