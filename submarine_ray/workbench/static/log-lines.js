// The lines of a log as they are shown: colours, levels and marks of a search. User strings are only ever text.
"use strict";

const LogLines = (() => {
  const COLOURS = ["#7d8796", "#ff7b72", "#7ee787", "#f2cc60", "#79c0ff", "#d2a8ff", "#76e3ea", "#e6edf3"];
  const BRIGHT = ["#9aa5b5", "#ffa198", "#a5f3b3", "#ffe08a", "#a5d6ff", "#e2c5ff", "#a8f0f4", "#ffffff"];
  const BACK = ["#30363d", "#67201d", "#17401f", "#4d3a05", "#12335e", "#3f2363", "#124549", "#484f58"];
  const OF_REPLICAS = ["#79c0ff", "#7ee787", "#f2cc60", "#d2a8ff", "#ff9f87", "#76e3ea", "#f9a8d4", "#c3d6a0"];

  // As in experiments/find.py.
  const ERROR = /\b(?:ERROR|CRITICAL|FATAL)\b|Traceback \(most recent call last\)|^(?:\[rank\d+\]: )?[\w.]*(?:Error|Exception|Interrupt)(?::|$)|^\s*[Ee]rror:/;
  const WARNING = /\b(?:WARN|WARNING)\b|^(?:[\w.\/:-]+: )?\w*Warning:/;
  const DEBUG = /\b(?:DEBUG|TRACE)\b/;

  const bare = (text) => text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
  const level = (text) => (ERROR.test(text) ? "error" : WARNING.test(text) ? "warning" : DEBUG.test(text) ? "debug" : "");

  // One of the 256 colours of terminals.
  function indexed(n) {
    if (n < 8) return COLOURS[n];
    if (n < 16) return BRIGHT[n - 8];
    if (n >= 232) { const grey = 8 + (n - 232) * 10; return `rgb(${grey},${grey},${grey})`; }
    const part = (v) => (v ? 55 + v * 40 : 0);
    return `rgb(${part(Math.floor((n - 16) / 36))},${part(Math.floor((n - 16) / 6) % 6)},${part((n - 16) % 6)})`;
  }

  // Colours of more than one number, `38;5;n` and `38;2;r;g;b`: [colour, how many numbers it took].
  function long(codes, at) {
    if (codes[at + 1] === 5 && codes[at + 2] < 256) return [indexed(codes[at + 2]), 2];
    if (codes[at + 1] === 2) return [`rgb(${codes.slice(at + 2, at + 5).map((v) => Math.min(255, v || 0)).join(",")})`, 4];
    return [null, 0];
  }

  function restyle(style, codes) {
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at];
      if (code === 0) for (const key of Object.keys(style)) delete style[key];
      else if (code === 1) style.fontWeight = "bold";
      else if (code === 2) style.opacity = "0.7";
      else if (code === 3) style.fontStyle = "italic";
      else if (code === 4) style.textDecoration = "underline";
      else if (code === 22) { delete style.fontWeight; delete style.opacity; }
      else if (code === 39) delete style.color;
      else if (code === 49) delete style.background;
      else if (code >= 30 && code <= 37) style.color = COLOURS[code - 30];
      else if (code >= 90 && code <= 97) style.color = BRIGHT[code - 90];
      else if (code >= 40 && code <= 47) style.background = BACK[code - 40];
      else if (code >= 100 && code <= 107) style.background = BACK[code - 100];
      else if (code === 38 || code === 48) {
        const [colour, taken] = long(codes, at);
        if (colour) style[code === 38 ? "color" : "background"] = colour;
        at += taken;
      }
    }
  }

  // A program's colours (ECMA-48 SGR) as spans; all other escapes are dropped.
  function paint(text, into) {
    const style = {};
    const pieces = text.split(/\x1b\[([0-9;?]*)([A-Za-z])/);
    for (let i = 0; i < pieces.length; i += 3) {
      if (i > 0 && pieces[i - 1] === "m") restyle(style, (pieces[i - 2] || "0").split(";").map(Number));
      const said = pieces[i].replace(/\x1b\][^\x07\x1b]*\x07|[\x00-\x08\x0b-\x1f]/g, "");
      if (!said) continue;
      if (!Object.keys(style).length) { into.append(said); continue; }
      const span = document.createElement("span");
      span.textContent = said;
      Object.assign(span.style, style);
      into.append(span);
    }
  }

  // Where a text stands in an element, whatever spans it is in.
  function ranges(element, wanted) {
    const found = [], walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), nodes = [];
    let length = 0;
    while (walker.nextNode()) { nodes.push([length, walker.currentNode]); length += walker.currentNode.length; }
    const text = element.textContent.toLowerCase();
    if (text.length !== length) return found; // a letter whose small form is longer
    const place = (offset) => { const [begin, node] = nodes.findLast(([at]) => at <= offset); return [node, offset - begin]; };
    for (let at = text.indexOf(wanted); at >= 0 && found.length < 100; at = text.indexOf(wanted, at + wanted.length)) {
      const range = new Range();
      range.setStart(...place(at)); const [node, offset] = place(at + wanted.length - 1); range.setEnd(node, offset + 1);
      found.push(range);
    }
    return found;
  }

  const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 2 });
  const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
  const clock = (at) => (at ? time.format(at) : "");
  const moment = (at) => (at ? date.format(at) : "");
  const colour = (number) => OF_REPLICAS[number % OF_REPLICAS.length];

  return { bare, level, paint, ranges, clock, moment, colour };
})();
