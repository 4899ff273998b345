// <log-view src name why attempt replica>, or <log-view text name>: a log of any length. Only the lines in view are in the page.
//
// Where the scroll bar is at the fraction f of its way, line f * count stands at the fraction f of the view's height. So
// every line can be reached, however many lines the browser's longest element has room for, and however lines are wrapped.
"use strict";

const ROW = 17, LONGEST = 15_000_000, BEYOND = 12, SOON = 250;

class LogView extends HTMLElement {
  connectedCallback() {
    if (this.box) return;
    this.isFollowing = true; this.rows = new Map(); this.hits = []; this.hit = -1; this.wanted = null; this.missed = 0;
    this.build();
    const changed = (isNew) => this.later(isNew);
    const text = this.getAttribute("text");
    this.source = text === null ? new LogSources.Served(this.getAttribute("src"), this.getAttribute("replica"), this.getAttribute("attempt"), changed) : new LogSources.Given(text);
    this.sizes = new ResizeObserver(() => this.later()); this.sizes.observe(this.box);
    this.run();
  }
  disconnectedCallback() { this.isGone = true; this.source?.close(); this.sizes?.disconnect(); this.finding?.abort(); }

  build() {
    const make = (tag, className, more = {}) => Object.assign(document.createElement(tag), { className, ...more });
    const button = (text, act, label = text) => { const made = make("button", "", { type: "button", textContent: text, onclick: act }); made.setAttribute("aria-label", label); return made; };
    const toggle = (text, key, isOn) => {
      const made = button(text, () => { set(made.getAttribute("aria-pressed") !== "true"); localStorage.setItem(`log-${key}`, made.getAttribute("aria-pressed")); this.redraw(); });
      const set = (on) => { made.setAttribute("aria-pressed", on); this.box.classList.toggle(key, on); };
      set((localStorage.getItem(`log-${key}`) ?? String(isOn)) === "true");
      return made;
    };
    this.box = make("div", "lines", { tabIndex: 0 });
    this.box.setAttribute("role", "log"); this.box.setAttribute("aria-label", "Log"); this.box.setAttribute("aria-live", "off");
    this.space = make("div", "space"); this.list = make("div", "rows"); this.space.append(this.list); this.box.append(this.space);
    this.box.onscroll = () => this.scrolled();
    this.box.onkeydown = (event) => this.key(event);
    this.pick = make("select", "", { hidden: true }); this.pick.setAttribute("aria-label", "Replica"); this.pick.append(new Option("All replicas", ""));
    this.pick.onchange = () => this.choose(this.pick.value);
    const field = make("span", "find");
    this.search = make("input", "", { type: "search", placeholder: "Search the log" }); this.search.setAttribute("aria-label", "Search the log"); this.search.dataset.search = "";
    this.search.oninput = () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.find(this.search.value), SOON); };
    this.search.onkeydown = (event) => { if (event.key === "Enter") { event.preventDefault(); this.step(event.shiftKey ? -1 : 1); } };
    this.found = make("span", "found"); this.found.setAttribute("role", "status");
    field.append(this.search, this.found, button("↑", () => this.step(-1), "Previous match"), button("↓", () => this.step(1), "Next match"));
    this.said = make("span", "said"); this.said.setAttribute("role", "status");
    const tools = make("div", "tools");
    tools.append(this.pick, field, button("First error", () => this.find("", true)), toggle("Wrap", "wrap", true), this.times = toggle("Times", "times", innerWidth > 900), button("Download", () => this.source.download(this.getAttribute("name") || "log")), this.said);
    this.resume = button("Follow", () => { this.isFollowing = true; this.toEnd(); }); this.resume.className = "resume"; this.resume.hidden = true;
    const frame = make("div", "frame"); frame.append(this.box, this.resume);
    this.append(tools, frame);
  }
  say(text) { if (this.said.textContent !== text) this.said.textContent = text; }

  async run() {
    for (let pause = 500; !this.isGone; pause = Math.min(pause * 2, 10000)) {
      try {
        const isAnother = await this.source.open();
        if (isAnother || this.choosing) { this.choosing = false; this.isFollowing = true; this.find(this.wanted?.text ?? "", this.wanted?.errors); }
        this.isOpen = true; this.redraw();
        if (!this.source.isLive) return await this.ended();
        const begun = Date.now();
        await this.source.follow((one, n) => this.told(one, n));
        if (Date.now() - begun > 5000) pause = 500;
      } catch (failure) {
        if (this.isGone) return;
        if (failure.name === "AbortError") { pause = 250; continue; } // another replica was chosen
        this.say(failure.told ? failure.message : "Reconnecting…");
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  }
  async ended() {
    const why = this.getAttribute("why");
    if (!why || this.isPlaced) return;
    this.isPlaced = true;
    const place = await this.source.place(why);
    if (place !== undefined) this.show(place);
  }
  // What a stream has brought.
  told(one, n) {
    if (!this.isFollowing) this.missed += 1;
    const { wanted } = this;
    if (!wanted) return;
    const text = LogLines.bare(one.line), has = wanted.errors ? LogLines.level(text) === "error" : text.toLowerCase().includes(wanted.text);
    if (has && wanted.isComplete) { this.hits.push(n); this.count(); }
  }
  choose(who) {
    this.choosing = true; this.source.who = who; this.source.total = 0; this.source.blocks = new Map(); this.hits = [];
    if (this.source.isLive) this.source.streaming?.abort(); else this.run();
  }

  // Everything is drawn once a frame, however much comes.
  later(isNew) {
    this.isNew ||= isNew;
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => { this.isAsked = false; this.draw(); });
  }
  redraw() { this.rows.clear(); this.list.replaceChildren(); this.later(true); }
  get lineCount() { return this.source.total + this.source.unfinished.size; }
  get isWrapped() { return this.box.classList.contains("wrap"); }
  get isSmall() { return this.lineCount <= 1500; }
  // How many rows of the usual height the view has room for.
  get room() { return this.box.clientHeight / ROW; }
  get most() { return Math.max(0, this.height - this.box.clientHeight); }
  line(n) { return n < this.source.total ? this.source.line(n) : [...this.source.unfinished.values()][n - this.source.total]; }

  draw() {
    if (this.isGone || !this.isOpen) return;
    this.names(); this.status();
    if (this.isSmall) { this.drawAll(); return; }
    const height = Math.min(this.lineCount * ROW, LONGEST);
    if (height !== this.height) {
      const top = this.top ?? 0;
      this.height = height; this.space.style.height = `${height}px`;
      this.move(this.isFollowing ? this.most : this.most * Math.min(1, top / Math.max(1, this.lineCount - this.room)));
    }
    this.window(this.anchor);
  }
  // A log that is short: all of it, with the browser's own scrolling.
  drawAll() {
    this.height = 0; this.space.style.height = ""; this.list.style.transform = "";
    this.fill(0, this.lineCount);
    if (this.anchor) this.move(this.rows.get(this.anchor.line)?.offsetTop - this.box.clientHeight / 2);
    else if (this.isFollowing) this.move(this.box.scrollHeight);
    this.anchor = null;
    this.mark();
  }
  // The lines around one that stands at a height: where the scroll bar says, or as asked.
  window(asked) {
    const { clientHeight, scrollTop } = this.box, f = this.most ? scrollTop / this.most : 0, count = this.lineCount;
    const at = asked ? asked.line + 0.5 : Math.min(f * count, count - 1e-6), y = asked ? clientHeight / 2 : f * clientHeight;
    const line = Math.max(0, Math.floor(at)), above = Math.ceil(y / ROW) + BEYOND, below = Math.ceil((clientHeight - y) / ROW) + BEYOND;
    this.fill(Math.max(0, line - above), Math.min(count, line + below));
    this.source.only(line - above, line + below);
    const row = this.rows.get(line);
    if (row) this.list.style.transform = `translateY(${Math.round(scrollTop + y - row.offsetTop - (at - line) * row.offsetHeight)}px)`;
    this.mark();
  }
  // Put the lines from `first` to before `end` in the page; those that are there already stay.
  fill(first, end) {
    const first_ = this.source.total;
    for (const [n, row] of this.rows) if (n < first || n >= end || (n >= first_) || row.isOpen) { row.remove(); this.rows.delete(n); }
    let before = null;
    for (let n = first; n < end; n++) {
      const line = this.line(n);
      let row = this.rows.get(n);
      if (!row || row.of !== line) {
        row?.remove();
        row = this.paint(n, line); this.rows.set(n, row);
        if (before) before.after(row); else this.list.prepend(row);
      }
      before = row;
    }
  }
  paint(n, line) {
    const row = document.createElement("div");
    row.of = line; row.isOpen = n >= this.source.total; row.className = "line";
    row.dataset.n = row.isOpen ? "" : n + 1;
    if (!line) { row.classList.add("waits"); row.textContent = "…"; return row; }
    const level = LogLines.level(LogLines.bare(line.line));
    if (level) row.classList.add(level);
    if (n === this.hits[this.hit] || n === this.shown) row.classList.add("hit");
    row.dataset.time = LogLines.clock(line.time);
    if (line.time) row.title = LogLines.moment(line.time);
    if (this.hasSeveral && line.replica) {
      const who = document.createElement("span"); who.className = "who"; who.textContent = line.replica;
      who.style.color = this.colours.get(line.replica) ?? "";
      row.append(who);
    }
    const text = document.createElement("span"); text.className = "text";
    LogLines.paint(line.line, text);
    row.append(text);
    return row;
  }
  names() {
    const { replicas } = this.source, shown = replicas.filter(({ lines, replica }) => lines || (replica !== "submarine" && replica !== "ray"));
    const key = shown.map(({ replica }) => replica).join();
    this.hasSeveral = !this.source.who && replicas.filter(({ lines }) => lines).length > 1;
    if (key !== this.known) {
      this.known = key;
      this.colours = new Map(shown.filter(({ replica }) => replica !== "submarine" && replica !== "ray").map(({ replica }, number) => [replica, LogLines.colour(number)]));
      this.pick.replaceChildren(new Option("All replicas", ""), ...shown.map(({ replica }) => new Option(replica, replica)));
      this.pick.value = this.source.who ?? ""; this.pick.hidden = shown.length < 2;
    }
    if (this.hadSeveral !== this.hasSeveral) { this.hadSeveral = this.hasSeveral; this.rows.clear(); this.list.replaceChildren(); }
  }
  status() {
    const { total, isLive, isOrdered } = this.source, lines = `${total.toLocaleString("en")} ${total === 1 ? "line" : "lines"}`;
    const isEmpty = !this.lineCount && !isLive;
    this.classList.toggle("is-empty", isEmpty);
    this.say(isEmpty ? "The log is empty." : this.lineCount ? lines + (isLive ? " · live" : "") + (isOrdered ? "" : " · one replica after the other: this log has no times") : "Waiting for the first line…");
    this.resume.hidden = !isLive || this.isFollowing;
    if (!this.resume.hidden) this.resume.textContent = this.missed ? `Follow · ${this.missed.toLocaleString("en")} new` : "Follow";
  }

  move(to) { this.box.scrollTop = to; this.from = this.box.scrollTop; this.keep(); }
  keep() { this.top = this.most ? (this.box.scrollTop / this.most) * (this.lineCount - this.room) : this.box.scrollTop / ROW; }
  scrolled() {
    const { scrollTop } = this.box, by = scrollTop - (this.from ?? 0);
    if (Math.abs(by) < 1) return;
    this.from = scrollTop; this.anchor = null; this.keep();
    const isAtEnd = this.box.scrollHeight - scrollTop - this.box.clientHeight < 4;
    if (isAtEnd) { this.isFollowing = true; this.missed = 0; } else if (by < 0) this.isFollowing = false;
    if (!this.isSmall) this.window(); // in the same frame: nothing flickers
    this.status();
  }
  toEnd() { this.anchor = null; this.missed = 0; this.later(); this.move(this.isSmall ? this.box.scrollHeight : this.most); }
  key(event) {
    if (event.key === "End") { event.preventDefault(); this.isFollowing = true; this.toEnd(); }
    if (event.key === "Home") { event.preventDefault(); this.isFollowing = false; this.anchor = null; this.move(0); this.later(); }
  }
  // Bring a line to the middle of the view, with what is around it.
  show(n) {
    this.isFollowing = false; this.shown = n;
    for (const row of this.rows.values()) row.classList.toggle("hit", row.dataset.n === String(n + 1));
    this.anchor = { line: n };
    if (!this.isSmall) this.move(this.most * Math.max(0, Math.min(1, (n + 0.5 - this.room / 2) / Math.max(1, this.lineCount - this.room))));
    this.later();
  }

  async find(text, errors = false) {
    this.finding?.abort(); this.finding = new AbortController();
    const { signal } = this.finding;
    if (!errors && !text) { this.wanted = null; this.hits = []; this.hit = -1; this.shown = undefined; this.found.textContent = ""; this.redraw(); return; }
    if (errors) this.search.value = "";
    this.found.textContent = "Searching…";
    try {
      const [hits, isComplete] = await this.source.find(text, signal);
      this.wanted = { text: text.toLowerCase(), errors, isComplete }; this.hits = hits; this.hit = -1;
      if (hits.length) this.step(1, errors ? 0 : undefined); else { this.count(); this.redraw(); }
    } catch (failure) { if (failure.name !== "AbortError") this.found.textContent = failure.told ? failure.message : "The search failed."; }
  }
  // To the next match: at first the one after what is in view, or the first of all errors.
  step(by, to) {
    const { hits } = this;
    if (!hits.length) return;
    if (to !== undefined) this.hit = to;
    else if (this.hit < 0) { const next = hits.findIndex((n) => n >= (this.isFollowing ? 0 : Math.floor(this.top ?? 0))); this.hit = next < 0 ? 0 : next; }
    else this.hit = (this.hit + by + hits.length) % hits.length;
    this.count(); this.show(hits[this.hit]);
  }
  count() {
    const what = this.wanted?.errors ? (this.hits.length === 1 ? " error" : " errors") : "", number = (n) => n.toLocaleString("en");
    const all = `${number(this.hits.length)}${this.wanted?.isComplete === false ? "+" : ""}`;
    this.found.textContent = this.hits.length ? `${number(this.hit + 1)} of ${all}${what}` : `No ${this.wanted?.errors ? "errors" : "matches"}`;
  }
  mark() {
    if (!globalThis.Highlight) return;
    const found = this.wanted?.text ? [...this.rows.values()].flatMap((row) => { const text = row.querySelector(".text"); return text ? LogLines.ranges(text, this.wanted.text) : []; }) : [];
    CSS.highlights.set("log-match", new Highlight(...found));
  }
}
customElements.define("log-view", LogView);
