// Where a log's lines come from. A source has `total` finished lines, and those that are being written, `unfinished`.
"use strict";

const LogSources = (() => {
  const BLOCK = 500, MOST_BLOCKS = 120, OPENED = 500, PLACE_LINES = 5000;

  // A log that the service has: in blocks of lines, as they are looked at, and the new ones as a stream.
  class Served {
    constructor(src, part, attempt, changed) {
      Object.assign(this, { src, part, attempt, changed, who: "", total: 0, grand: 0, replicas: [], isOrdered: true, isLive: true });
      this.blocks = new Map(); this.old = new Map(); this.asked = new Map(); this.unfinished = new Map(); this.closing = new AbortController();
    }
    close() { this.closing.abort(); this.streaming?.abort(); }
    address(what, asked = {}) {
      const replica = this.who || this.part, all = { ...asked, ...(replica && { replica }), ...(this.attempt && { attempt: this.attempt }) };
      return `${this.src}/${what}?${new URLSearchParams(all)}`;
    }
    async get(what, asked, signal = this.closing.signal) {
      const answer = await fetch(this.address(what, asked), { signal });
      const said = await answer.json().catch(() => ({}));
      if (!answer.ok) throw Object.assign(new Error(said.message || "The log is not available now."), { told: true });
      return said.result;
    }
    // Look anew: how many lines there are, and the last of them.
    async open() {
      const found = await this.get("lines", { last: true, limit: OPENED });
      const isAnother = found.total < this.total;
      this.old = isAnother ? new Map() : this.blocks; this.blocks = new Map();
      this.total = found.total; this.isOrdered = found.isOrdered; this.isLive = found.isLive;
      this.replicas = found.replicas.filter(({ replica }) => !this.part || replica === this.part || replica.startsWith(`${this.part}-`));
      this.grand = found.replicas.reduce((sum, one) => sum + one.lines, 0);
      this.unfinished = new Map(found.unfinished.map((one) => [one.replica, one]));
      this.put(found.offset, found.lines);
      return isAnother;
    }
    put(offset, lines) {
      lines.forEach((line, at) => {
        const number = Math.floor((offset + at) / BLOCK);
        if (!this.blocks.has(number)) this.blocks.set(number, []);
        this.blocks.get(number)[(offset + at) % BLOCK] = line;
      });
      for (const number of this.blocks.keys()) { if (this.blocks.size <= MOST_BLOCKS) break; this.blocks.delete(number); }
    }
    // The line of a number; null while it is on its way.
    line(n) {
      const number = Math.floor(n / BLOCK), block = this.blocks.get(number), found = block?.[n % BLOCK];
      if (found) { if (block !== this.newest) { this.blocks.delete(number); this.blocks.set(number, block); this.newest = block; } return found; }
      this.want(number);
      return this.old.get(number)?.[n % BLOCK] ?? null;
    }
    want(number) {
      if (this.asked.has(number)) return;
      const asking = new AbortController();
      this.asked.set(number, asking);
      this.fetch(number, asking.signal).catch(() => {}).finally(() => this.asked.delete(number));
    }
    async fetch(number, signal) {
      await new Promise((done) => setTimeout(done, 40)); // a thumb that is dragged passes by
      if (signal.aborted) return;
      const offset = number * BLOCK;
      let found = await this.get("lines", { offset, limit: BLOCK, known: this.grand }, signal);
      if (found.lines.length < Math.min(BLOCK, this.total - offset)) found = await this.get("lines", { offset, limit: BLOCK }, signal);
      this.put(offset, found.lines);
      this.changed();
    }
    // Nobody waits for blocks outside of these any more.
    only(first, end) {
      for (const [number, asking] of this.asked) if (number < Math.floor(first / BLOCK) || number > Math.floor(end / BLOCK)) asking.abort();
    }
    // New lines, until the attempt ends; `told` gets each with its number.
    async follow(told) {
      this.streaming = new AbortController();
      const answer = await fetch(this.address("stream", { after: this.total, known: this.grand }), { signal: this.streaming.signal });
      if (!answer.ok) throw new Error("The stream of the log was refused.");
      const reader = answer.body.getReader(), decoder = new TextDecoder();
      for (let rest = ""; ;) {
        const { done, value } = await reader.read();
        if (done) return;
        const pieces = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = pieces.pop();
        for (const piece of pieces) if (piece.trim()) this.take(JSON.parse(piece), told);
        this.changed(true);
      }
    }
    take(one, told) {
      if (one.line.endsWith("\r")) { this.unfinished.set(one.replica, { ...one, line: one.line.slice(0, -1) }); return; }
      this.unfinished.delete(one.replica);
      const known = this.replicas.find(({ replica }) => replica === one.replica);
      if (known) known.lines += 1; else this.replicas.push({ replica: one.replica, lines: 1 });
      const n = this.total; this.total += 1; this.grand += 1;
      if (n % BLOCK === 0 || this.blocks.has(Math.floor(n / BLOCK))) this.put(n, [one]);
      told(one, n);
    }
    // The numbers of the lines with a text, or with errors.
    async find(text, signal) {
      const found = await this.get("matches", { ...(text ? { text } : { errors: true }), known: this.grand }, signal);
      return [found.lines, found.isComplete];
    }
    // Where a failure's message quotes the log: the last line of a replica's that it has, or the platform's word.
    async place(why) {
      const { offset, lines } = await this.get("lines", { last: true, limit: PLACE_LINES });
      const all = lines.map((one, at) => ({ ...one, n: offset + at }));
      const own = all.filter(({ replica }) => replica !== "submarine" && replica !== "ray");
      const said = ({ line }) => { const text = LogLines.bare(line).trim(); return text.length > 3 && why.includes(text); };
      return (own.findLast(said) ?? all.findLast(({ replica }) => replica === "submarine") ?? own.at(-1))?.n;
    }
    download(name) {
      const link = document.createElement("a");
      link.href = this.address("text"); link.download = `${name}.txt`; link.click();
    }
  }

  // A text that the page has already.
  class Given {
    constructor(text) {
      this.lines = text ? text.replace(/\n$/, "").split("\n").map((line) => ({ replica: "", time: null, line: line.replace(/\r$/, "") })) : [];
      this.total = this.lines.length; this.unfinished = new Map(); this.replicas = []; this.isOrdered = true; this.isLive = false; this.text = text;
    }
    close() {}
    only() {}
    async open() { return false; }
    line(n) { return this.lines[n]; }
    async find(text) {
      const wanted = text.toLowerCase(), has = (line) => (text ? line.toLowerCase().includes(wanted) : LogLines.level(line) === "error");
      return [this.lines.flatMap(({ line }, n) => (has(LogLines.bare(line)) ? [n] : [])), true];
    }
    async place() { return undefined; }
    download(name) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([this.text], { type: "text/plain" })); link.download = `${name}.txt`; link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  }

  return { Served, Given };
})();
