// What happens in the browser alone: relative times, keyboard, live logs. User strings are only ever text.
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

const COLOURS = ["#7d8796", "#ff7b72", "#7ee787", "#f2cc60", "#79c0ff", "#d2a8ff", "#76e3ea", "#e6edf3"];
const BRIGHT = ["#9aa5b5", "#ffa198", "#a5f3b3", "#ffe08a", "#a5d6ff", "#e2c5ff", "#a8f0f4", "#ffffff"];
const MAX_LINES = 10000;

// A program's colours (ECMA-48 SGR) as spans; all other escapes are dropped.
function painted(text, into) {
  let style = {};
  const pieces = text.split(/\x1b\[([0-9;?]*)([A-Za-z])/);
  for (let i = 0; i < pieces.length; i += 3) {
    if (i > 0 && pieces[i - 1] === "m") {
      for (const code of (pieces[i - 2] || "0").split(";").map(Number)) {
        if (code === 0) style = {};
        else if (code === 1) style.fontWeight = "bold";
        else if (code === 3) style.fontStyle = "italic";
        else if (code === 4) style.textDecoration = "underline";
        else if (code === 22) delete style.fontWeight;
        else if (code === 39) delete style.color;
        else if (code >= 30 && code <= 37) style.color = COLOURS[code - 30];
        else if (code >= 90 && code <= 97) style.color = BRIGHT[code - 90];
      }
    }
    const said = pieces[i].replace(/\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f]/g, "");
    if (!said) continue;
    const span = document.createElement("span");
    span.textContent = said;
    Object.assign(span.style, style);
    into.append(span);
  }
}
const bare = (text) => text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");

// <log-view src name why attempt replica>: follows an NDJSON stream of {replica, line} from its last lines on. Draws once a frame; keeps the newest lines only.
// A line that ends with a carriage return is not finished: the next one of its replica takes its place.
// `why`, a failure's message, is shown in its place at the end: the last line of a replica's that it quotes.
class LogView extends HTMLElement {
  connectedCallback() {
    if (this.lines) return;
    this.all = []; this.fresh = []; this.who = ""; this.wanted = ""; this.follow = true;
    const tools = document.createElement("div"); tools.className = "tools";
    this.pick = document.createElement("select"); this.pick.setAttribute("aria-label", "Replica");
    this.pick.append(new Option("All replicas", ""));
    this.pick.onchange = () => { this.who = this.pick.value; this.redraw(); };
    const search = document.createElement("input"); search.type = "search"; search.placeholder = "Search the log"; search.setAttribute("aria-label", "Search the log"); search.dataset.search = "";
    search.oninput = () => { this.wanted = search.value.toLowerCase(); this.redraw(); };
    const label = document.createElement("label"); this.box = document.createElement("input"); this.box.type = "checkbox"; this.box.checked = true;
    this.box.onchange = () => { this.follow = this.box.checked; if (this.follow) this.toEnd(); };
    label.append(this.box, " Follow");
    const save = document.createElement("button"); save.type = "button"; save.textContent = "Download"; save.onclick = () => this.save();
    this.said = document.createElement("span"); this.said.className = "said"; this.said.setAttribute("role", "status");
    tools.append(this.pick, search, label, save, this.said);
    this.lines = document.createElement("div"); this.lines.className = "lines"; this.lines.tabIndex = 0; this.lines.setAttribute("role", "log"); this.lines.setAttribute("aria-label", "Log"); this.lines.setAttribute("aria-live", "off");
    this.lines.onwheel = (event) => { if (event.deltaY < 0) this.follow = this.box.checked = false; };
    this.append(tools, this.lines);
    this.run();
  }
  disconnectedCallback() { if (this.abort) this.abort.abort(); }
  // Of an earlier attempt or of one trial, where the page shows one.
  address(what, asked) {
    const attempt = this.getAttribute("attempt");
    const replica = this.getAttribute("replica");
    return `${this.getAttribute("src")}/${what}?${new URLSearchParams({ ...(replica && { replica }), ...asked, ...(attempt && { attempt }) })}`;
  }
  say(text) { if (this.said.textContent !== text) this.said.textContent = text; }
  async run() {
    for (let pause = 500; this.isConnected; pause = Math.min(pause * 2, 10000)) {
      this.abort = new AbortController();
      try {
        const answer = await fetch(this.address("stream", { tail: MAX_LINES }), { signal: this.abort.signal });
        if (!answer.ok) { this.say((await answer.json()).message || "The log is unavailable right now."); }
        else {
          this.all = []; this.fresh = []; this.unfinished = new Map(); this.lines.replaceChildren(); this.say("Waiting for the first line…");
          await this.read(answer.body.getReader());
          this.ended = true; this.frame(); return;
        }
      } catch (failure) { if (failure.name === "AbortError") return; this.say("Reconnecting…"); }
      await new Promise((done) => setTimeout(done, pause));
    }
  }
  async read(reader) {
    const decoder = new TextDecoder(); let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const pieces = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = pieces.pop();
      for (const piece of pieces) { if (piece.trim()) this.take(JSON.parse(piece)); }
      if (!this.asked) { this.asked = true; requestAnimationFrame(() => { this.asked = false; this.frame(); }); }
    }
  }
  take(one) {
    const before = this.unfinished.get(one.replica), goesOn = one.line.endsWith("\r");
    if (goesOn) one.line = one.line.slice(0, -1);
    if (before) { before.line = one.line; if (before.row) this.paint(before); } else this.fresh.push(one);
    if (!goesOn) this.unfinished.delete(one.replica); else if (!before) this.unfinished.set(one.replica, one);
  }
  frame() {
    for (const one of this.fresh) if (one.replica && ![...this.pick.options].some((o) => o.value === one.replica)) this.pick.append(new Option(one.replica, one.replica));
    this.all.push(...this.fresh);
    const over = this.all.length - MAX_LINES;
    if (over > 0) this.all.splice(0, over);
    this.put(this.fresh.slice(-MAX_LINES)); this.fresh = [];
    while (this.lines.childElementCount > MAX_LINES) this.lines.firstElementChild.remove();
    const count = this.all.length < MAX_LINES ? `${this.all.length.toLocaleString("en")} ${this.all.length === 1 ? "line" : "lines"}` : `last ${MAX_LINES.toLocaleString("en")} lines; Download has all`;
    this.say(this.all.length || this.ended ? count + (this.ended ? "" : " · live") : "Waiting for the first line…");
    if (this.ended && this.getAttribute("why")) this.toPlace(this.getAttribute("why"));
    else if (this.follow) this.toEnd();
  }
  toPlace(why) {
    const own = this.all.filter(({ replica, row }) => row && replica !== "submarine" && replica !== "ray");
    const said = ({ line }) => { const text = bare(line).trim(); return text.length > 3 && why.includes(text); };
    const place = own.findLast(said) ?? this.all.findLast(({ replica, row }) => row && replica === "submarine") ?? own.at(-1);
    if (!place) return;
    this.follow = this.box.checked = false;
    place.row.classList.add("hit");
    this.lines.scrollTop = place.row.offsetTop - this.lines.clientHeight / 2;
  }
  put(some) {
    const part = document.createDocumentFragment();
    for (const one of some) {
      one.row = null;
      if (this.who && one.replica !== this.who) continue;
      if (this.wanted && !bare(one.line).toLowerCase().includes(this.wanted)) continue;
      one.row = document.createElement("div"); one.row.className = "line";
      this.paint(one);
      part.append(one.row);
    }
    this.lines.append(part);
  }
  paint({ replica, line, row }) {
    row.replaceChildren();
    if (!this.who && this.pick.options.length > 2 && replica) { const who = document.createElement("span"); who.className = "who"; who.textContent = replica; row.append(who); }
    painted(line, row);
  }
  redraw() { this.lines.replaceChildren(); this.put(this.all); if (this.follow) this.toEnd(); }
  toEnd() { this.lines.scrollTop = this.lines.scrollHeight; }
  // The whole of it comes from the service, in pieces; this page has its end alone.
  save() {
    const link = document.createElement("a");
    link.href = this.address("text", this.who ? { replica: this.who } : {});
    link.download = `${this.getAttribute("name") || "log"}.txt`; link.click();
  }
}
customElements.define("log-view", LogView);

const PLACES = { h: "/", e: "/experiments", n: "/notebooks", m: "/models", s: "/endpoints", t: "/templates", v: "/environments", c: "/clusters", ",": "/settings" };
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
  const named = { [isMac ? "⌘ K" : "Ctrl K"]: "Search everything, or run an action", "/": "Search this page", "g h": "Home", "g e": "Experiments", "g t": "Templates", "g v": "Environments", "g n": "Notebooks", "g m": "Models", "g s": "Endpoints", "g c": "Clusters", "g ,": "Settings", "?": "Show shortcuts", Esc: "Close" };
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
