// <notice-bell data-unread>: how many notices are unread, and a panel with them. User strings are only ever text.
"use strict";

const NOTICE_KINDS = { experiment: "Experiments and sweeps that ended", notebook: "Notebooks that ended", endpoint: "Endpoints that failed or recovered", shared: "Items shared with the team" };
const NOTICE_ICONS = { experiment: "science", notebook: "edit_note", endpoint: "bolt", shared: "group" };
const NOTICES = 30;

class NoticeBell extends HTMLElement {
  static observedAttributes = ["data-unread"];
  connectedCallback() {
    if (this.button) return;
    this.button = made("button", "plain-icon"); this.button.type = "button";
    this.button.setAttribute("aria-haspopup", "dialog"); this.button.setAttribute("aria-expanded", "false");
    this.count = made("span", "count"); this.count.setAttribute("aria-hidden", "true");
    this.button.append(icon("notifications"), this.count);
    this.button.addEventListener("click", () => this.isOpen ? this.close() : this.open());
    this.panel = made("div", "notices"); this.panel.hidden = true; this.panel.setAttribute("role", "dialog"); this.panel.setAttribute("aria-label", "Notifications"); this.panel.tabIndex = -1;
    this.append(this.button, this.panel);
    this.addEventListener("keydown", (event) => { if (event.key === "Escape" && this.isOpen) { event.stopPropagation(); this.close(); this.button.focus(); } });
    document.addEventListener("pointerdown", (event) => { if (this.isOpen && !event.composedPath().includes(this)) this.close(); });
    this.addEventListener("focusout", (event) => { if (this.isOpen && event.relatedTarget && !this.contains(event.relatedTarget)) this.close(); });
    this.draw();
  }
  attributeChangedCallback(_name, before, now) {
    if (!this.button || before === now) return;
    this.draw();
    if (this.isOpen && !this.choosing && now !== this.known) this.load();
  }
  get isOpen() { return !this.panel.hidden; }
  get unread() { return Number(this.dataset.unread || 0); }
  draw() {
    const said = this.unread > 99 ? "99+" : String(this.unread);
    this.count.hidden = !this.unread; this.count.textContent = said;
    this.button.setAttribute("aria-label", this.unread ? `Notifications, ${said} unread` : "Notifications");
    this.button.title = "Notifications";
  }
  open() { this.panel.hidden = false; this.button.setAttribute("aria-expanded", "true"); this.choosing = false; this.load(true); }
  close() { this.panel.hidden = true; this.button.setAttribute("aria-expanded", "false"); }
  async load(focus = false) {
    try {
      const answer = await fetch(`/api/v1/notice?limit=${NOTICES}`), said = await answer.json();
      if (!answer.ok) throw new Error(said.message);
      this.known = String(said.attributes.unread);
      this.dataset.unread = this.known;
      this.show(said.result);
    } catch (failure) { this.panel.replaceChildren(this.head(), made("p", "quiet none", `Notifications are not available: ${failure.message}`)); }
    if (focus) this.panel.focus();
  }
  head(...more) { const head = made("div", "head"); head.append(made("h2", "", "Notifications"), ...more); return head; }
  pressable(label, act) { const button = made("button", "linklike", label); button.type = "button"; button.addEventListener("click", act); return button; }
  show(found) {
    const all = this.pressable("Mark all as read", async () => { await ask("notice/read", { method: "POST" }); this.load(true); });
    all.hidden = !this.unread;
    const list = made("ul");
    list.append(...found.map((one) => this.row(one)));
    const none = made("p", "quiet none", "No notifications yet. You get one when an experiment, sweep or notebook of yours ends, when an endpoint of yours fails or recovers, and when somebody shares something.");
    this.panel.replaceChildren(this.head(all, this.pressable("Settings", () => this.choose())), found.length ? list : none);
  }
  row(one) {
    const item = made("li", one.read ? "" : "unread"), link = made("a");
    link.href = one.path;
    const text = made("span", "names"), first = made("span", "first"), badge = made("span", "badge", one.status);
    badge.dataset.state = Object.keys(STATES).find((state) => STATES[state].includes(one.status)) ?? "";
    first.append(made("span", "name", one.name), badge);
    const when = document.createElement("time-ago"); when.setAttribute("at", one.time); when.className = "detail";
    text.append(first, made("span", "why", one.message), when);
    link.append(icon(NOTICE_ICONS[one.kind] ?? "info"), text);
    // The page that opens cancels what is under way; this request outlives it.
    link.addEventListener("click", () => { if (!one.read) fetch(`/api/v1/notice/${one.id}/read`, { method: "POST", keepalive: true }); });
    item.append(link);
    if (!one.read) {
      const read = made("button", "plain-icon"); read.type = "button"; read.title = "Mark as read"; read.setAttribute("aria-label", `Mark as read: ${one.name}`); read.append(icon("done"));
      read.addEventListener("click", async () => { await ask(`notice/${one.id}/read`, { method: "POST" }); this.load(true); });
      item.append(read);
    }
    return item;
  }
  async choose() {
    this.choosing = true;
    const { kinds } = await ask("notice/settings");
    const form = made("div", "choices");
    for (const [kind, label] of Object.entries(NOTICE_KINDS)) {
      const box = made("input"); box.type = "checkbox"; box.checked = kinds.includes(kind); box.value = kind;
      const row = made("label"); row.append(box, ` ${label}`); form.append(row);
    }
    form.addEventListener("change", () => ask("notice/settings", {
      method: "PUT", headers: { "content-type": "application/json" },
      body: JSON.stringify({ kinds: [...form.querySelectorAll("input:checked")].map((box) => box.value) }),
    }));
    this.panel.replaceChildren(this.head(this.pressable("Back", () => { this.choosing = false; this.load(true); })), made("p", "quiet none", "Notify me about:"), form);
    form.querySelector("input").focus();
  }
}
customElements.define("notice-bell", NoticeBell);
