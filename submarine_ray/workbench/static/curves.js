// The arithmetic of the line chart: numbers as text, smoothing, and what its axes span. No drawing here.

const MINUTE = 60000, UNITS = [[1440 * MINUTE, "d"], [60 * MINUTE, "h"], [MINUTE, "m"], [1000, "s"], [1, "ms"]];

// A whole number with all its digits, any other with at most six.
export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e9) return value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e");
  return Number(value.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 });
}

// Milliseconds as their two largest units: 1h 20m.
export function duration(value) {
  const sign = value < 0 ? "-" : "";
  let rest = Math.round(Math.abs(value));
  const parts = UNITS.map(([size, unit]) => { const count = Math.floor(rest / size); rest %= size; return [count, unit]; });
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0s";
  return sign + parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => count + unit).join(" ");
}

export function moment(value) {
  const at = new Date(value), two = (part) => String(part).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export const position = (value, kind) => (kind === "time" ? moment : kind === "duration" ? duration : number)(value);

// Columns as ECharts draws them fastest: [x, y, x, y, ...] with NaN for gaps. What a logarithmic axis cannot show is a gap.
export function flat(x, y, look) {
  const made = new Float64Array(2 * x.length);
  for (let n = 0; n < x.length; n++) {
    const at = x[n], value = y[n];
    made[2 * n] = look.log_x && !(at > 0) ? NaN : at;
    made[2 * n + 1] = value === null || (look.log_y && !(value > 0)) ? NaN : value;
  }
  return made;
}

// An exponential moving average that does not lean towards zero at its beginning. With `spacing`, points that are closer
// count for less: a curve looks the same when finer points of a part of it have come. Gaps stay gaps.
export function smoothed(points, weight, spacing) {
  const made = new Float64Array(points.length);
  let last = 0, total = 0, before = NaN;
  for (let n = 0; n < points.length; n += 2) {
    const x = points[n], y = points[n + 1];
    made[n] = x; made[n + 1] = NaN;
    if (Number.isNaN(y)) continue;
    const kept = weight ** (spacing && x > before ? Math.min(1, (x - before) / spacing) : 1);
    last = kept * last + (1 - kept) * y;
    total = kept * total + (1 - kept);
    made[n + 1] = last / total;
    before = x;
  }
  return made;
}

// The places of points without a neighbour, which no line shows.
export function alone(points) {
  const found = new Set(), is = (n) => n >= 0 && n < points.length && !Number.isNaN(points[n + 1]);
  for (let n = 0; n < points.length; n += 2) if (is(n) && !is(n - 2) && !is(n + 2)) found.add(n / 2);
  return found;
}

// {min, max, last} of a curve's values; `extremes`: of all that its points are the means of.
export function figures(points, extremes) {
  let min = Infinity, max = -Infinity, last = null;
  for (let n = 1; n < points.length; n += 2) {
    const value = points[n];
    if (Number.isNaN(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    last = value;
  }
  return last === null ? { min: null, max: null, last } : { min: extremes?.[0] ?? min, max: extremes?.[1] ?? max, last };
}

// The least and the largest value of some curves between two places on x, each with its neighbour outside.
export function spanned(curves, window, clips) {
  let min = Infinity, max = -Infinity;
  const [from, to] = window ?? [-Infinity, Infinity], all = [];
  for (const points of curves) {
    const count = points.length / 2;
    let first = 0, end = count;
    if (window) {
      while (first < count - 1 && points[2 * first + 2] < from) first++;
      while (end > first + 1 && points[2 * end - 4] > to) end--;
    }
    for (let n = first; n < end; n++) {
      const value = points[2 * n + 1];
      if (Number.isNaN(value)) continue;
      if (clips) all.push(value);
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  if (clips && all.length > 20) {
    all.sort((a, b) => a - b);
    return [all[Math.floor(0.05 * (all.length - 1))], all[Math.ceil(0.95 * (all.length - 1))]];
  }
  return min > max ? null : [min, max];
}

// The ends of an axis: round numbers a little outside of what it shows.
export function ends([low, high], isLog) {
  if (isLog) return low < high ? [low / (high / low) ** 0.04, high * (high / low) ** 0.04] : [low / 2, high * 2];
  const span = high - low || Math.abs(high) || 1;
  const rough = span / 5, size = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find((one) => one * size >= rough) * size;
  if (low === high) return [low - step, high + step];
  return [Math.floor(low / step) * step, Math.ceil(high / step) * step];
}

const quoted = (value) => { const text = String(value ?? ""); return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; };
// A name that a spreadsheet would take for a formula is text.
const named = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);

export function csv(curves, look) {
  const columns = ["series", look.x_name, "value", ...(look.smoothing ? ["smoothed"] : [])];
  const rows = [columns.map(named)];
  const at = (x) => (look.x_kind === "time" ? new Date(x).toISOString() : look.x_kind === "duration" ? x / 1000 : x);
  for (const { name, points, means } of curves) {
    for (let n = 0; n < points.length; n += 2) {
      if (Number.isNaN(points[n + 1]) || Number.isNaN(points[n])) continue;
      rows.push([named(name), at(points[n]), points[n + 1], ...(look.smoothing ? [means[n + 1]] : [])]);
    }
  }
  return rows.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}
