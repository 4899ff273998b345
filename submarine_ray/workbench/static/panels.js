// Boards of panels: moved and resized with the mouse, a finger or the keyboard; and the list of runs beside them.
"use strict";
(() => {
// A board tells what is wanted, and the service moves the panel: events `moved` {id, to} and `resized` {id, width, height}.
class PanelBoard extends HTMLElement {
  connectedCallback() {
    this.addEventListener("pointerdown", (event) => this.press(event));
    this.addEventListener("keydown", (event) => this.type(event));
  }
  get panels() { return [...this.querySelectorAll(":scope > [data-panel]")]; }
  tell(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
  type(event) {
    const panel = event.target.closest(".panel-handle") && event.target.closest("[data-panel]");
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!panel || !by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const { width, height } = panel.dataset, id = panel.dataset.panel;
    if (event.shiftKey && this.hasAttribute("fixed")) return;
    if (event.shiftKey) this.size(panel, Number(width) + by[0], Number(height) + by[1]);
    else this.tell("moved", { id, to: this.panels.indexOf(panel) + by[0] + by[1], focus: true });
  }
  size(panel, width, height) {
    const found = { width: Math.min(12, Math.max(3, width)), height: Math.min(8, Math.max(1, height)) };
    if (found.width === Number(panel.dataset.width) && found.height === Number(panel.dataset.height)) return;
    Object.assign(panel.dataset, found);
    panel.style.setProperty("--w", found.width);
    panel.style.setProperty("--h", found.height);
    this.tell("resized", { id: panel.dataset.panel, ...found });
  }
  press(event) {
    const panel = event.target.closest("[data-panel]");
    if (!panel || event.button !== 0) return;
    if (event.target.closest(".panel-handle")) this.drag(event, panel);
    else if (event.target.closest(".panel-corner")) this.pull(event, panel);
  }
  follow(event, moved, ended) {
    event.preventDefault();
    const target = event.target;
    target.setPointerCapture(event.pointerId);
    const stop = (last) => {
      target.removeEventListener("pointermove", moved);
      target.removeEventListener("pointerup", stop);
      target.removeEventListener("pointercancel", stop);
      this.removeAttribute("busy");
      ended(last.type === "pointerup");
    };
    target.addEventListener("pointermove", moved);
    target.addEventListener("pointerup", stop);
    target.addEventListener("pointercancel", stop);
  }
  drag(event, panel) {
    const start = [event.clientX, event.clientY];
    let to = null;
    const clear = () => this.panels.forEach((one) => one.removeAttribute("data-drop"));
    this.follow(event, (now) => {
      if (Math.hypot(now.clientX - start[0], now.clientY - start[1]) < 6) return;
      this.setAttribute("busy", "");
      panel.setAttribute("data-dragged", "");
      if (now.clientY < 60) scrollBy(0, -20); else if (now.clientY > innerHeight - 60) scrollBy(0, 20);
      const over = this.panels.find((one) => one !== panel && inside(now, one.getBoundingClientRect()));
      clear();
      to = null;
      if (!over) return;
      const box = over.getBoundingClientRect();
      const isAfter = box.width > this.clientWidth * 0.7
        ? now.clientY > box.top + box.height / 2 : now.clientX > box.left + box.width / 2;
      over.setAttribute("data-drop", isAfter ? "after" : "before");
      const others = this.panels.filter((one) => one !== panel);
      to = others.indexOf(over) + (isAfter ? 1 : 0);
    }, (isDone) => {
      clear();
      panel.removeAttribute("data-dragged");
      event.target.focus({ preventScroll: true });
      if (isDone && to !== null && to !== this.panels.indexOf(panel)) this.tell("moved", { id: panel.dataset.panel, to });
    });
  }
  pull(event, panel) {
    const box = panel.getBoundingClientRect();
    const { width, height } = panel.dataset;
    const column = (this.clientWidth + 16) / 12, row = 100;
    let found = null;
    this.follow(event, (now) => {
      this.setAttribute("busy", "");
      const wide = Number(width) + Math.round((now.clientX - box.right) / column);
      const high = Number(height) + Math.round((now.clientY - event.clientY) / row);
      found = [Math.min(12, Math.max(3, wide)), Math.min(8, Math.max(1, high))];
      panel.style.setProperty("--w", found[0]);
      panel.style.setProperty("--h", found[1]);
    }, (isDone) => {
      panel.style.setProperty("--w", width);
      panel.style.setProperty("--h", height);
      if (isDone && found) this.size(panel, ...found);
    });
  }
}
const inside = (at, box) => at.clientX >= box.left && at.clientX <= box.right && at.clientY >= box.top && at.clientY <= box.bottom;
customElements.define("panel-board", PanelBoard);

// The runs of a board: `items` is JSON [{key, label, href, colour, note, on}]; the event `turned` {keys, on}.
class RunList extends HTMLElement {
  static observedAttributes = ["items"];
  connectedCallback() { this.draw(); }
  attributeChangedCallback() { if (this.isConnected) this.draw(); }
  draw() {
    let items = [];
    try { items = JSON.parse(this.getAttribute("items") || "[]"); } catch { return; }
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.replaceChildren();
    if (!items.length) return;
    const all = element("label", "run-all", this);
    const whole = element("input", "", all);
    whole.type = "checkbox";
    const on = items.filter((one) => one.on).length;
    whole.checked = on === items.length;
    whole.indeterminate = on > 0 && on < items.length;
    whole.dataset.key = "";
    whole.addEventListener("change", () => this.tell(items.map((one) => one.key), whole.checked));
    element("span", "", all).textContent = `${on} of ${items.length} shown`;
    const list = element("ul", "", this);
    for (const one of items) {
      const line = element("li", "", list);
      const label = element("label", "", line);
      const box = element("input", "", label);
      box.type = "checkbox";
      box.checked = one.on;
      box.dataset.key = one.key;
      box.addEventListener("change", () => this.tell([one.key], box.checked));
      element("span", "run-colour", label).style.background = one.colour;
      const name = element("span", "run-name", label);
      name.textContent = one.label;
      name.title = one.label;
      if (one.note) element("span", "run-note", line).textContent = one.note;
      if (one.href) {
        const link = element("a", "run-link", line);
        link.href = one.href;
        link.textContent = "Open";
        link.setAttribute("aria-label", `Open ${one.label}`);
      }
    }
    if (focused !== null) [...this.querySelectorAll("input")].find((one) => one.dataset.key === focused)?.focus();
  }
  tell(keys, on) { this.dispatchEvent(new CustomEvent("turned", { detail: { keys, on } })); }
}
function element(tag, classes, into) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  into.append(made);
  return made;
}
customElements.define("run-list", RunList);
})();
