// Ctrl-K on every page: a dialog that finds things, pages and actions. And the star of favourites. User strings are only ever text.
"use strict";

const PAUSE_MS = 150;
const SHOWN_KINDS = {
  experiment: ["Experiments", "science"], model: ["Models", "category"], "model-version": ["Model versions", "category"],
  endpoint: ["Endpoints", "bolt"], template: ["Templates", "auto_awesome_mosaic"], environment: ["Environments", "inventory_2"],
  notebook: ["Notebooks", "edit_note"], cluster: ["Clusters", "dns"],
  report: ["Reports", "description"], workspace: ["Charts", "insights"], "experiment-view": ["Views", "bookmark"], help: ["Documentation", "menu_book"],
};
const STATES = {
  good: ["Succeeded", "Healthy"], run: ["Running", "Updating"], bad: ["Failed", "Unhealthy"],
  wait: ["Accepted", "Created", "Creating", "Waiting", "Terminating"],
};
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

async function ask(path, options = {}) {
  const answer = await fetch(`/api/v1/${path}`, options);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said.result;
}
const made = (tag, classes, text) => { const one = document.createElement(tag); if (classes) one.className = classes; if (text) one.textContent = text; return one; };
const icon = (name) => { const one = made("i", "q-icon material-icons", name); one.setAttribute("aria-hidden", "true"); return one; };

// Pages and actions are compared here: as the service compares names, words of the text in any order.
function closeness(name, text) {
  const own = name.toLowerCase(), all = text.toLowerCase().trim();
  if (own.startsWith(all)) return 0;
  const words = own.split(/[^\p{L}\p{N}]+/u);
  const each = all.split(/[^\p{L}\p{N}]+/u).filter(Boolean).map((wanted) => words.some((word) => word.startsWith(wanted)) ? 1 : own.includes(wanted) ? 2 : 9);
  return each.length ? Math.max(...each) : 9;
}
const matching = (items, text) => items.map((item) => [closeness(item.name, text), item]).filter(([rank]) => rank < 9).sort(([a], [b]) => a - b).map(([, item]) => item);

const go = (path) => ({ path });
function pages() {
  const links = [...document.querySelectorAll('nav[aria-label="Main"] a')];
  return links.map((link) => ({ name: link.querySelector("span").textContent, icon: link.querySelector("i").textContent, ...go(link.getAttribute("href")) }));
}
function actions() {
  const isDark = document.body.classList.contains("body--dark");
  const press = (selector) => () => document.querySelector(selector)?.click();
  const found = [
    { name: "New experiment", icon: "add", ...go("/experiments/new") },
    { name: "Run a template", icon: "play_arrow", ...go("/templates") },
    { name: "New notebook", icon: "edit_note", ...go("/notebooks?new=1") },
    { name: isDark ? "Switch to light mode" : "Switch to dark mode", icon: "contrast", act: press('.top [aria-label="Toggle dark mode"]') },
    { name: "Show keyboard shortcuts", icon: "keyboard", act: () => document.querySelector("dialog.keys")?.showModal() },
  ];
  if (document.querySelector("notice-bell")) found.push({ name: "Show notifications", icon: "notifications", act: press("notice-bell > button") });
  const out = document.querySelector(".side form button");
  if (out) found.push({ name: "Sign out", icon: "logout", act: () => out.click() });
  return found;
}

class Palette {
  constructor() {
    this.dialog = made("dialog", "palette"); this.dialog.setAttribute("aria-label", "Search");
    this.field = made("input"); this.field.type = "text"; this.field.autocomplete = "off"; this.field.spellcheck = false; this.field.maxLength = 200;
    this.field.placeholder = "Search, or go to a page";
    for (const [name, value] of Object.entries({ role: "combobox", "aria-label": "Search", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list" })) this.field.setAttribute(name, value);
    this.list = made("div", "found"); this.list.id = "palette-list"; this.list.setAttribute("role", "listbox"); this.list.setAttribute("aria-label", "Results");
    this.said = made("p", "said"); this.said.setAttribute("role", "status");
    const top = made("div", "asked"); top.append(icon("search"), this.field);
    const foot = made("div", "foot"); foot.append(this.said, this.keys());
    this.dialog.append(top, this.list, foot);
    this.field.addEventListener("input", () => this.typed());
    this.field.addEventListener("keydown", (event) => this.pressed(event));
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => { clearTimeout(this.timer); this.asking?.abort(); });
    this.list.addEventListener("mousemove", (event) => { const option = event.target.closest("[role=option]"); if (option) this.choose(option, false); });
    document.body.append(this.dialog);
  }
  keys() {
    const keys = made("span", "hint wide-only"); keys.setAttribute("aria-hidden", "true");
    for (const [key, what] of [["↑↓", "choose"], ["Enter", "open"], [isMac ? "⌘ Enter" : "Ctrl Enter", "new tab"], ["Esc", "close"]]) keys.append(made("kbd", "", key), ` ${what}  `);
    return keys;
  }
  open() {
    if (this.dialog.open) return;
    this.field.value = ""; this.found = []; this.list.replaceChildren(); this.said.textContent = "";
    this.dialog.showModal(); this.field.focus();
    this.ask("");
  }
  typed() {
    const text = this.field.value.trim();
    clearTimeout(this.timer); this.asking?.abort();
    this.draw(text);
    this.timer = setTimeout(() => this.ask(text), text ? PAUSE_MS : 0);
  }
  async ask(text) {
    this.asking = new AbortController();
    try {
      if (text) this.found = await ask(`search?${new URLSearchParams({ text })}`, { signal: this.asking.signal });
      else this.opened = await ask("recent", { signal: this.asking.signal });
      this.answered = text;
      if (text === this.field.value.trim()) this.draw(text);
    } catch (failure) {
      if (failure.name !== "AbortError") { this.draw(text); this.said.textContent = `Search is not available: ${failure.message}`; }
    }
  }
  // What the service found last stays until it has answered anew, as far as it still matches.
  groups(text) {
    if (!text) return [["Favourites", this.opened?.starred ?? []], ["Recently opened", this.opened?.recent ?? []], ["Actions", actions()], ["Pages", pages()]];
    const starred = this.found.filter((one) => one.starred), groups = new Map();
    for (const one of this.found) if (!one.starred) groups.set(one.kind, [...(groups.get(one.kind) ?? []), one]);
    const own = [["Actions", matching(actions(), text)], ["Pages", matching(pages(), text)]];
    const kinds = Object.keys(SHOWN_KINDS).filter((kind) => groups.has(kind)).map((kind) => [SHOWN_KINDS[kind][0], groups.get(kind)]);
    const docs = kinds.filter(([name]) => name === "Documentation");
    return [["Favourites", starred], ...kinds.filter((one) => !docs.includes(one)), ...own, ...docs];
  }
  draw(text) {
    const groups = this.groups(text).filter(([, items]) => items.length);
    this.list.replaceChildren(...groups.map(([name, items], number) => this.group(name, items, `palette-group-${number}`)));
    this.options().forEach((option, number) => { option.id = `palette-option-${number}`; });
    const count = this.options().length;
    const isAnswered = this.answered === text;
    this.said.textContent = count ? (text && isAnswered ? `${count} ${count === 1 ? "result" : "results"}` : "") : isAnswered ? `Nothing matches “${text}”.` : "Searching…";
    this.choose(this.options()[0]);
  }
  group(name, items, id) {
    const group = made("div"); group.setAttribute("role", "group"); group.setAttribute("aria-labelledby", id);
    const title = made("div", "title", name); title.id = id; title.setAttribute("role", "presentation");
    group.append(title, ...items.map((item) => this.option(item)));
    return group;
  }
  option(item) {
    const option = made(item.path ? "a" : "div", "option"); option.setAttribute("role", "option"); option.setAttribute("aria-selected", "false");
    if (item.path) { option.href = item.path; option.tabIndex = -1; }
    const names = made("span", "names"); names.append(made("span", "name", item.name));
    if (item.detail) names.append(made("span", "detail", item.detail));
    option.append(icon(item.icon ?? SHOWN_KINDS[item.kind]?.[1] ?? "chevron_right"), names);
    if (item.starred) { const star = icon("star"); star.classList.add("star"); option.append(star); }
    if (item.status) { const badge = made("span", "badge", item.status); badge.dataset.state = Object.keys(STATES).find((state) => STATES[state].includes(item.status)) ?? ""; option.append(badge); }
    option.addEventListener("click", (event) => {
      if (item.act) { this.dialog.close(); item.act(); }
      else if (!event.ctrlKey && !event.metaKey) this.dialog.close();  // the browser follows the link
    });
    return option;
  }
  options() { return [...this.list.querySelectorAll("[role=option]")]; }
  choose(option, scroll = true) {
    if (this.chosen === option && option?.isConnected) return;
    this.chosen?.setAttribute("aria-selected", "false");
    this.chosen = option;
    if (!option) { this.field.removeAttribute("aria-activedescendant"); return; }
    option.setAttribute("aria-selected", "true");
    this.field.setAttribute("aria-activedescendant", option.id);
    if (scroll) option.scrollIntoView({ block: "nearest" });
  }
  pressed(event) {
    const options = this.options(), at = options.indexOf(this.chosen), last = options.length - 1;
    const to = { ArrowDown: at < last ? at + 1 : 0, ArrowUp: at > 0 ? at - 1 : last, PageDown: Math.min(at + 8, last), PageUp: Math.max(at - 8, 0) }[event.key];
    if (to !== undefined && options.length) { event.preventDefault(); this.choose(options[to]); }
    if (event.key === "Enter" && !event.isComposing && this.chosen) {
      event.preventDefault();
      if ((event.ctrlKey || event.metaKey) && this.chosen.href) { window.open(this.chosen.href, "_blank", "noopener"); return; }
      this.chosen.click();
    }
  }
}
let palette;
function openPalette() { (palette ??= new Palette()).open(); }
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") { event.preventDefault(); event.stopPropagation(); openPalette(); }
}, true);
document.addEventListener("click", (event) => { if (event.target.closest("[data-palette]")) openPalette(); });

// <star-button data-kind data-key [data-starred]>: marks a favourite.
class StarButton extends HTMLElement {
  static observedAttributes = ["data-starred"];
  attributeChangedCallback() { if (this.button) this.draw(); }
  connectedCallback() {
    if (this.button) return;
    this.button = made("button", "plain-icon"); this.button.type = "button";
    this.button.addEventListener("click", () => this.toggle());
    this.append(this.button); this.draw();
  }
  get isStarred() { return "starred" in this.dataset; }
  draw() {
    this.button.replaceChildren(icon(this.isStarred ? "star" : "star_border"));
    this.button.title = this.isStarred ? "Remove from favourites" : "Add to favourites";
    this.button.setAttribute("aria-label", "Favourite"); this.button.setAttribute("aria-pressed", String(this.isStarred));
  }
  async toggle() {
    const { kind, key } = this.dataset, wanted = !this.isStarred;
    this.button.disabled = true;
    try {
      await ask(`favourite/${kind}/${key.split("/").map(encodeURIComponent).join("/")}`, { method: wanted ? "PUT" : "DELETE" });
      wanted ? this.dataset.starred = "1" : delete this.dataset.starred;
    } catch (failure) { this.button.title = failure.message; this.button.disabled = false; return; }
    this.button.disabled = false; this.draw(); this.button.focus();
  }
}
customElements.define("star-button", StarButton);
