// The browser's part of the line chart (line_chart.py): draws series, zooms, and moves the cursors of a page together.
import { echarts } from "nicegui-echart";
import { toRaw } from "vue";
import { alone, csv, duration, ends, figures, flat, number, position, smoothed, spanned } from "/workbench-static/curves.js";

// Okabe and Ito's palette, which the colour-blind can tell apart, without its yellow.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7d5ba6", "#8c564b"];
const GREY = "#8a94a3", TOLD = 5, LISTED = 40, MANY = 2000, QUIET_MS = 200, THIN = 0.04, NEAR = 8, DOUBLE_MS = 300;
const mounted = new Set(); // the charts of the page

const escaped = (text) => echarts.format.encodeHTML(String(text));

export default {
  template: `<figure class="line-chart" @fullscreenchange="filled">
    <h2 v-if="isFilling">{{ label }}</h2>
    <div class="chart" ref="plot" role="img" tabindex="0" :aria-label="label" @keydown="pressed" @mouseleave="left"
      title="" aria-description="Plus and minus zoom, left and right move, 0 shows all, f fills the screen."></div>
    <div class="chart-tools">
      <button type="button" v-show="isZoomed" @click="reset" :aria-label="'Reset zoom of ' + label" title="Reset zoom (double-click the chart)"><i class="material-icons" aria-hidden="true">zoom_out_map</i></button>
      <button type="button" @click="fill" :aria-label="'Full screen: ' + label" title="Full screen"><i class="material-icons" aria-hidden="true">{{ isFilling ? "fullscreen_exit" : "fullscreen" }}</i></button>
      <details @keydown.esc="close" @focusout="leave"><summary :aria-label="'Download ' + label" title="Download"><i class="material-icons" aria-hidden="true">download</i></summary>
        <div><button type="button" v-for="kind in ['PNG', 'SVG', 'CSV']" :key="kind" @click="save(kind, $event)">{{ kind }}</button></div></details>
    </div>
    <div class="legend" v-if="rows.length" tabindex="0" role="region" :aria-label="'Values of ' + label">
      <table><thead><tr><th scope="col">{{ at === null ? "" : at }}</th><th scope="col" class="now">{{ at === null ? "" : "here" }}</th><th scope="col">min</th><th scope="col">max</th><th scope="col">last</th></tr></thead>
      <tbody><tr v-for="(row, n) in rows" :key="n" :class="{ hidden: row.isHidden }">
        <th scope="row"><button type="button" :aria-pressed="String(!row.isHidden)" @click="toggle(row, $event)" :title="row.name + ' (click hides, Shift + click shows it alone)'"><span class="swatch" :style="{ background: row.colour }"></span>{{ row.name }}</button><a v-if="row.href" :href="row.href" :aria-label="'Open ' + row.name" title="Open">↗</a></th>
        <td class="now">{{ at === null ? "" : row.now }}</td><td>{{ row.min }}</td><td>{{ row.max }}</td><td>{{ row.last }}</td></tr></tbody></table>
    </div>
    <p class="quiet small" v-if="note" role="status">{{ note }}</p>
  </figure>`,
  props: { label: String, series: Array, look: Object, zoom: Object, options: Object, renderer: String, enable3d: Boolean, theme: String },
  data: () => ({ rows: [], at: null, note: "", isZoomed: false, isFilling: false }),
  mounted() {
    this.window = { x: toRaw(this.zoom)?.x ?? null, y: toRaw(this.zoom)?.y ?? null };
    this.hidden = new Set(); this.shown = toRaw(this.look); this.curves = []; this.isFollowing = false;
    this.chart = echarts.init(this.$refs.plot, null, { renderer: "canvas" });
    this.chart.on("datazoom", (event) => this.zoomed(event));
    this.chart.on("updateAxisPointer", (event) => this.pointed(event));
    this.chart.getZr().on("mousemove", ({ offsetY }) => { this.pointer = offsetY; });
    this.chart.getZr().on("click", () => this.clicked());
    this.chart.getZr().on("dblclick", () => { clearTimeout(this.opening); this.reset(); });
    this.resized = new ResizeObserver(() => this.chart.resize());
    this.resized.observe(this.$refs.plot);
    mounted.add(this);
    this.update_chart();
  },
  beforeUnmount() {
    mounted.delete(this);
    clearTimeout(this.telling);
    clearTimeout(this.opening);
    this.resized.disconnect();
    this.chart.dispose();
  },
  methods: {
    update_chart() { this.shown = toRaw(this.look); this.draw(); },
    restyle(look) { this.shown = look; this.draw(); },
    draw() {
      const look = this.shown, given = (toRaw(this.series) ?? []).map(toRaw);
      this.curves = given.map((one, n) => {
        const points = flat(toRaw(one.x), toRaw(one.y), look);
        const means = look.smoothing ? smoothed(points, look.smoothing, one.spacing) : points;
        const band = one.low && one.high ? [flat(toRaw(one.x), toRaw(one.low), look), flat(toRaw(one.x), toRaw(one.high), look)] : [];
        return { ...one, points, means, band, alone: alone(means), figures: figures(points, toRaw(one.extremes)), colour: one.colour ?? COLOURS[n % COLOURS.length], isHidden: this.hidden.has(one.name) };
      });
      const lost = look.log_x || look.log_y ? given.reduce((sum, one) => sum + toRaw(one.x).filter((x, n) => (look.log_x && !(x > 0)) || (look.log_y && one.y[n] !== null && !(one.y[n] > 0))).length, 0) : 0;
      this.note = lost ? `${number(lost)} ${lost === 1 ? "point is" : "points are"} not shown: a logarithmic axis has no zero and nothing below it.` : "";
      this.rows = this.curves.map(({ name, colour, href, figures: { min, max, last }, isHidden }) => ({ name, colour, href, isHidden, now: "", min: number(min), max: number(max), last: number(last) }));
      this.chart.setOption(this.option(), { replaceMerge: ["series"] });
      this.chart.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: !matchMedia("(pointer: coarse)").matches });
      this.percent = this.percents();
      this.isZoomed = Boolean(this.window.x || this.window.y);
    },
    // What ECharts draws; `isPicture`: with a title and a legend of its own.
    option(isPicture = false, legendRows = 0) {
      const look = this.shown, seen = this.curves.filter((one) => !one.isHidden);
      const values = seen.flatMap((one) => [look.smoothing ? one.means : one.points, ...(look.clip_outliers ? [] : [...(look.smoothing ? [one.points] : []), ...one.band])]);
      let known = null; // ECharts asks several times a frame
      const extent = () => {
        const window = this.seen(first, last), of = String(window);
        if (known?.of !== of) {
          const found = spanned(values, window, look.clip_outliers);
          known = { of, ends: found ? ends(found, look.log_y) : look.log_y ? [1, 10] : [0, 1] };
        }
        return known.ends;
      };
      const xs = seen.flatMap(({ points }) => { let n = 0; while (n < points.length && Number.isNaN(points[n])) n += 2; return n < points.length ? [points[n], points[points.length - 2]] : []; });
      const [first, last] = xs.length ? [Math.min(...xs), Math.max(...xs)] : look.log_x ? [1, 10] : [0, 1];
      const isTime = look.x_kind !== "number";
      const axis = { axisLine: { lineStyle: { color: GREY } }, axisTick: { show: false }, splitLine: { lineStyle: { color: GREY, opacity: 0.18 } }, nameTextStyle: { color: GREY } };
      const label = (more) => ({ color: GREY, hideOverlap: true, ...more });
      const whole = (curves, n) => curves.every(({ points }) => { for (let at = n; at < points.length; at += 2) if (points[at] % 1) return false; return true; });
      const range = (window) => (window ? { startValue: window[0], endValue: window[1] } : { start: 0, end: 100 });
      return {
        animation: false, useUTC: look.x_kind === "duration",
        grid: { left: 8, right: 16, top: isPicture ? 44 : 12, bottom: isPicture ? 28 + 22 * legendRows : 8, containLabel: true },
        tooltip: { trigger: "axis", confine: true, transitionDuration: 0, axisPointer: { animation: false }, formatter: (params) => this.told(params),
          extraCssText: "background: var(--card); color: var(--text); border-color: var(--line); max-width: 420px; white-space: normal; overflow-wrap: anywhere;" },
        toolbox: { itemSize: 0, left: -99, showTitle: false, feature: { dataZoom: { filterMode: "none", brushStyle: { borderWidth: 0, color: "rgba(86, 180, 233, .28)" } } } },
        dataZoom: [
          { type: "inside", id: "x", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: this.isFilling ? true : "ctrl", moveOnMouseMove: true, moveOnMouseWheel: false, minSpan: 0.0001, ...range(this.window.x) },
          { type: "inside", id: "y", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "alt", moveOnMouseMove: true, moveOnMouseWheel: false, minSpan: 0.0001, ...range(this.window.y) },
        ],
        xAxis: { ...axis, type: isTime ? "time" : look.log_x ? "log" : "value", min: first, max: last > first ? last : isTime ? first + 1000 : look.log_x ? first * 10 : first + 1,
          minInterval: !isTime && whole(this.curves, 0) ? 1 : 0, splitLine: { show: false }, name: isPicture ? look.x_name : "", nameLocation: "middle", nameGap: 26,
          axisLabel: label(look.x_kind === "duration" ? { formatter: duration } : isTime ? {} : { formatter: number, showMaxLabel: null }) },
        yAxis: { ...axis, type: look.log_y ? "log" : "value", min: () => extent()[0], max: () => extent()[1], minInterval: whole(this.curves, 1) ? 1 : 0, axisLabel: label({ formatter: number, showMinLabel: look.log_y || this.window.y ? false : null, showMaxLabel: look.log_y || this.window.y ? false : null }) },
        series: this.curves.flatMap((one, n) => (one.isHidden ? [] : this.lines(one, n))),
        ...(isPicture && {
          backgroundColor: getComputedStyle(this.$el).getPropertyValue("--card").trim() || "#fff",
          title: { text: this.label, left: 8, top: 6, textStyle: { fontSize: 15, color: getComputedStyle(this.$el).color } },
          legend: { show: seen.length > 1, bottom: 4, type: "plain", textStyle: { color: GREY, width: 300, overflow: "truncate" }, itemGap: 8, icon: "roundRect", itemHeight: 10, itemWidth: 14, data: seen.slice(0, LISTED).map(({ name }) => name) },
        }),
      };
    },
    // The part of x that is zoomed to, while ECharts is still at it.
    seen(first, last) {
      const { start, end, startValue, endValue } = this.model("x")?.option ?? {};
      if ((startValue ?? null) === null && !(start > 0 || end < 100)) return null;
      const isLog = this.shown.log_x && this.shown.x_kind === "number";
      const at = (percent) => (isLog ? first * (last / first) ** (percent / 100) : first + ((last - first) * percent) / 100);
      return [startValue ?? at(start ?? 0), endValue ?? at(end ?? 100)];
    },
    // A curve: its band, its raw line if it is smoothed, and its line.
    lines(one, n) {
      const isPale = !one.stands_out && this.curves.some(({ stands_out }) => stands_out);
      const line = { name: one.name, type: "line", data: one.means, dimensions: ["x", "y"], showSymbol: one.alone.size > 0, symbol: "circle", symbolSize: (_, { dataIndex }) => (one.alone.has(dataIndex) ? 5 : 0), sampling: one.x.length > MANY ? "minmax" : undefined, color: one.colour, z: one.stands_out ? 4 : 3,
        lineStyle: { type: one.dash ?? "solid", width: one.stands_out ? 3.2 : 1.8, opacity: isPale ? 0.65 : 1 }, emphasis: { disabled: true }, id: `line ${n}` };
      const made = [line];
      if (this.shown.smoothing) made.push({ ...line, id: `raw ${n}`, data: one.points, z: 2, lineStyle: { width: 1, opacity: 0.25 }, tooltip: { show: false } });
      if (one.band.length) made.push(this.band(one, n));
      return made;
    },
    // One shape between two gaps.
    band(one, n) {
      const [low, high] = one.band, runs = [[]];
      for (let at = 0; at < low.length; at += 2) {
        if (!Number.isNaN(low[at] + low[at + 1] + high[at + 1])) runs.at(-1).push(at); else if (runs.at(-1).length) runs.push([]);
      }
      const edge = (api, run, side) => run.map((at) => api.coord([side[at], side[at + 1]]));
      const shapes = (api) => runs.filter((run) => run.length).map((run) => ({ type: "polygon", shape: { points: [...edge(api, run, high), ...edge(api, run, low).reverse()] }, style: { fill: one.colour, opacity: 0.16 } }));
      return { id: `band ${n}`, name: one.name, type: "custom", clip: true, silent: true, z: 1, data: [[one.points[0] || 1, 1]], tooltip: { show: false }, renderItem: (_, api) => ({ type: "group", children: shapes(api) }) };
    },
    told(params) {
      const found = [params].flat().filter(({ seriesId }) => seriesId?.startsWith("line")).map(({ seriesId, value }) => ({ n: Number(seriesId.slice(5)), x: value[0], y: value[1] }));
      if (!found.length) return "";
      this.at = `${this.shown.x_name} ${position(found[0].x, this.shown.x_kind)}`;
      this.rows.forEach((row) => { row.now = ""; });
      found.forEach(({ n, y }) => { if (this.rows[n]) this.rows[n].now = number(y); });
      if (this.isFollowing) return "";
      // The curves nearest to the pointer, in their order on the screen.
      const away = ({ y }) => Math.abs((this.chart.convertToPixel({ yAxisIndex: 0 }, y) ?? 0) - this.pointer);
      const drawn = found.filter(({ y }) => !Number.isNaN(y)).sort((a, b) => away(a) - away(b));
      this.nearest = drawn[0] && { href: this.curves[drawn[0].n].href, away: away(drawn[0]) };
      const rows = drawn.slice(0, TOLD).sort((a, b) => b.y - a.y).map(({ n, y }) => {
        const { colour, name } = this.curves[n];
        return `<tr><td><span class="swatch" style="background:${escaped(colour)}"></span><span class="name">${escaped(name)}</span></td><td class="value">${number(y)}</td></tr>`;
      });
      const more = drawn.length > TOLD ? `<div class="quiet small">and ${drawn.length - TOLD} more below</div>` : "";
      return `<div class="quiet small">${escaped(this.at)}</div><table class="told">${rows.join("")}</table>${more}`;
    },
    // Open the curve below the pointer, unless a second click follows, which resets the zoom.
    clicked() {
      clearTimeout(this.opening);
      if (this.nearest?.href && this.nearest.away < NEAR) this.opening = setTimeout(() => location.assign(this.nearest.href), DOUBLE_MS);
    },
    // The other charts' cursors go where this one's has gone.
    pointed(event) {
      if (this.isFollowing) return;
      const value = event.axesInfo?.find(({ axisDim }) => axisDim === "x")?.value;
      if (value === undefined) return;
      cancelAnimationFrame(this.pointing);
      this.pointing = requestAnimationFrame(() => this.others().forEach((one) => one.follow(value)));
    },
    others() { return [...mounted].filter((one) => one !== this && one.shown.x_name === this.shown.x_name); },
    follow(value) {
      const x = this.chart.convertToPixel({ xAxisIndex: 0 }, value), y = this.chart.getHeight() / 2;
      this.isFollowing = true;
      if (value !== null && this.chart.containPixel("grid", [x, y])) this.chart.dispatchAction({ type: "updateAxisPointer", currTrigger: "mousemove", x, y });
      else { this.chart.dispatchAction({ type: "updateAxisPointer", currTrigger: "leave" }); this.at = null; }
      this.isFollowing = false;
    },
    left() {
      cancelAnimationFrame(this.pointing);
      this.at = null;
      this.others().forEach((one) => one.follow(null));
    },
    model(id) { return this.chart.getModel().queryComponents({ mainType: "dataZoom", id })[0]; },
    percents() { return { x: this.model("x")?.getPercentRange(), y: this.model("y")?.getPercentRange() }; },
    zoomed() {
      const before = this.percent, now = this.percents();
      const share = (id) => (now[id][1] - now[id][0]) / (before[id][1] - before[id][0] || 1);
      const moved = (id) => now[id][0] !== before[id][0] || now[id][1] !== before[id][1];
      // Who drags along one axis means that one: a thin rectangle is no zoom of the other.
      const thin = moved("x") && moved("y") ? ["x", "y"].filter((id) => share(id) < THIN) : [];
      this.percent = now;
      if (thin.length) { this.show(Object.fromEntries(thin.map((id) => [id, this.window[id]]))); return; }
      for (const id of ["x", "y"]) this.window[id] = now[id][0] <= 0 && now[id][1] >= 100 ? null : this.model(id).getValueRange();
      this.isZoomed = Boolean(this.window.x || this.window.y);
      clearTimeout(this.telling);
      this.telling = setTimeout(() => this.$emit("zoom", this.window), QUIET_MS);
    },
    show(windows) {
      const range = (window) => (window ? { startValue: window[0], endValue: window[1] } : { start: 0, end: 100 });
      this.chart.dispatchAction({ type: "dataZoom", batch: Object.entries(windows).map(([dataZoomId, window]) => ({ dataZoomId, ...range(window) })) });
    },
    reset() { this.show({ x: null, y: null }); },
    pressed(event) {
      const [low, high] = this.percent.x, span = high - low;
      const to = { "+": [low + span / 4, high - span / 4], "=": [low + span / 4, high - span / 4], "-": [low - span / 2, high + span / 2], ArrowLeft: [low - span / 5, high - span / 5], ArrowRight: [low + span / 5, high + span / 5] }[event.key];
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "f") this.fill(); else if (event.key === "0") this.reset(); else if (!to) return;
      event.preventDefault();
      if (!to) return;
      const start = Math.max(0, Math.min(to[0], 100 - (to[1] - to[0]))), end = Math.min(100, Math.max(to[1], start + Math.min(100, to[1] - to[0])));
      this.chart.dispatchAction({ type: "dataZoom", dataZoomId: "x", start, end });
    },
    toggle(row, event) {
      const names = this.curves.map(({ name }) => name);
      if (event.shiftKey) this.hidden = this.hidden.size === names.length - 1 && !this.hidden.has(row.name) ? new Set() : new Set(names.filter((name) => name !== row.name));
      else if (!this.hidden.delete(row.name)) this.hidden.add(row.name);
      this.draw();
    },
    fill() { document.fullscreenElement ? document.exitFullscreen() : this.$el.requestFullscreen(); },
    filled() { this.isFilling = document.fullscreenElement === this.$el; this.draw(); },
    close(event) { event.currentTarget.open = false; event.currentTarget.querySelector("summary").focus(); },
    leave(event) { if (!event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false; },
    save(kind, event) {
      event.target.closest("details").open = false;
      const text = kind === "CSV" ? csv(this.curves.filter((one) => !one.isHidden), this.shown) : null;
      const href = text === null ? this.picture(kind) : URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      const link = document.createElement("a");
      link.href = href;
      link.download = `${this.label.replace(/[^\w.-]+/g, "-")}.${kind.toLowerCase()}`;
      link.click();
      if (href.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(href), 1000);
    },
    picture(kind) {
      const names = this.curves.filter((one) => !one.isHidden).slice(0, LISTED).map(({ name }) => name);
      const width = Math.max(900, this.chart.getWidth()), each = Math.min(300, Math.max(0, ...names.map((name) => 8 * name.length))) + 30;
      const rows = names.length > 1 ? Math.ceil(names.length / Math.max(1, Math.floor((width - 20) / each))) : 0;
      const size = { width, height: Math.max(420, this.chart.getHeight()) + 22 * rows };
      const made = kind === "SVG" ? echarts.init(null, null, { renderer: "svg", ssr: true, ...size }) : echarts.init(document.createElement("div"), null, { renderer: "canvas", ...size });
      try {
        made.setOption(this.option(true, rows));
        return kind === "SVG" ? URL.createObjectURL(new Blob([made.renderToSVGString()], { type: "image/svg+xml" })) : made.getDataURL({ type: "png", pixelRatio: 2 });
      } finally { made.dispose(); }
    },
  },
};
