// Asks again and again what changed, and draws it. Everything shown is text from the server, put in as text, never as markup.
"use strict";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WAIT_AT_WORK = 1000, WAIT_AT_REST = 5000; // milliseconds

const $ = id => document.getElementById(id);

/** An element of HTML with classes, and children that are elements or text. */
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** An element of SVG with attributes. */
function shape(tag, attributes, text) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Sets text only where it changed, so that a selection stays. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Numbers and words

const figure = (value, digits) => value == null ? "" : value.toFixed(digits).replace("-", "\u2212");
const percent = value => value == null ? "" : (100 * value).toFixed(1) + "\u00a0%";

/** With about three digits, whatever the size. */
function short(value) {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace("-", "\u2212").replace("e+", "e");
  if (value !== 0 && size < 1) return value.toPrecision(3).replace("-", "\u2212");
  return figure(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function duration(seconds) {
  if (seconds < 119.5) return Math.round(seconds) + "\u00a0s";
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return minutes + "\u00a0min";
  return Math.floor(minutes / 60) + "\u00a0h " + minutes % 60 + "\u00a0min";
}

const steps = run => run.steps ? run.step + " of " + run.steps : run.step ? String(run.step) : "";
const share = run => run.steps ? Math.min(run.step / run.steps, 1) : 0;
const isIll = run => run.verdict === "collapsing" || run.verdict === "collapsed";

/** The server's clock; this machine's may differ. */
let clockOffset = 0;
const serverNow = () => Date.now() / 1000 + clockOffset;
const age = time => duration(Math.max(0, serverNow() - time)) + " ago";

// Axes and curves

/** Round numbers within a range, about as many as fit. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * power).find(step => step >= raw * 0.999);
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9 * step; index += 1) found.push(index * step);
  const isWhole = value => Math.abs(value - Math.round(value)) < 1e-6;
  let digits = 0;
  while (digits < 8 && !isWhole(step * 10 ** digits)) digits += 1;
  return { found, digits };
}

function range(values, fromZero) {
  let low = fromZero ? 0 : Infinity, high = fromZero ? 0 : -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(low < high)) {
    const size = Math.abs(low) || 1;
    [low, high] = fromZero && low === 0 ? [0, 1] : [low - size / 2, high + size / 2];
  }
  return [low, high];
}

function path(points, across, along) {
  return points.map(([step, value], index) =>
    (index ? "L" : "M") + across(step).toFixed(1) + " " + along(value).toFixed(1)).join("");
}

function spark(svg, points, color, fromZero) {
  const key = points.length ? points.length + " " + points[points.length - 1] : "";
  if (svg.dataset.key === key) return;
  svg.dataset.key = key;
  if (points.length < 2) return svg.replaceChildren();
  const [low, high] = range(points.map(point => point[1]), fromZero);
  const last = points[points.length - 1][0], first = points[0][0];
  const across = step => 84 * (step - first) / Math.max(last - first, 1);
  const along = value => 22 - 20 * (value - low) / (high - low);
  svg.replaceChildren(shape("path", { d: path(points, across, along), class: "stroke" + color }));
}

/** One chart that is drawn anew when its points, its width or the pointer's place change. */
class Plot {
  constructor() {
    this.title = element("b");
    this.read = element("span", "read");
    this.note = element("span", "note");
    this.svg = shape("svg", { class: "plot", role: "img" });
    this.keys = element("ul", "keys");
    this.node = element("figure", "", element("figcaption", "", this.title, this.read, this.note), this.svg, this.keys);
    this.pointer = null;
    this.svg.addEventListener("pointermove", event => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  show(chart, color) {
    this.chart = chart;
    this.color = color;
    say(this.title, chart.title);
    say(this.note, chart.note);
    const labels = chart.series.map(series => series.label + series.style).join();
    if (this.labels !== labels) {
      this.labels = labels;
      this.keys.replaceChildren(...chart.series.filter(series => series.label).map(series => {
        const key = shape("svg", { class: "key", viewBox: "0 0 24 8", "aria-hidden": "true" });
        key.append(shape("path", { d: "M0 4H24", class: this.classes("stroke", series) }));
        return element("li", "", key, series.label);
      }));
    }
    this.draw();
  }

  classes(kind, series) {
    return kind + this.color + " style" + series.style;
  }

  value(value) {
    return this.chart.percent ? percent(value) : short(value);
  }

  /** A value at the axis, with the digits that tell it from its neighbours. */
  mark(value, digits) {
    if (this.chart.percent) return figure(100 * value, Math.max(0, digits - 2)) + "\u00a0%";
    return digits > 4 || Math.abs(value) >= 1e6 ? short(value) : figure(value, digits);
  }

  point(event) {
    this.pointer = event && event.clientX - this.svg.getBoundingClientRect().left;
    this.draw();
  }

  draw() {
    const width = this.svg.clientWidth, height = 190;
    if (!this.chart || !width) return;
    const { series, from_zero } = this.chart;
    const left = 44, right = width - 10, top = 8, bottom = height - 22;
    const values = series.flatMap(series => series.points.map(point => point[1]));
    const ends = series.flatMap(series => [series.points[0][0], series.points[series.points.length - 1][0]]);
    const first = Math.min(...ends, 0), last = Math.max(...ends, first + 1);
    const [low, high] = range(values, from_zero);
    const across = step => left + (right - left) * (step - first) / (last - first);
    const along = value => bottom - (bottom - top) * (value - low) / (high - low);
    const drawn = [];
    const marks = ticks(low, high, 4);
    for (const tick of marks.found) {
      const y = along(tick);
      drawn.push(shape("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }));
      drawn.push(shape("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, this.mark(tick, marks.digits)));
    }
    for (const tick of ticks(first, last, Math.max(2, Math.floor(width / 90))).found) {
      const anchor = across(tick) > right - 14 ? "end" : "middle";
      drawn.push(shape("text", { x: across(tick), y: height - 5, "text-anchor": anchor }, String(Math.round(tick))));
    }
    for (const line of series) {
      drawn.push(shape("path", { d: path(line.points, across, along), class: this.classes("stroke", line) }));
    }
    drawn.push(...this.reading(across, along, top, bottom));
    this.svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    this.svg.setAttribute("aria-label", this.inWords());
    this.svg.replaceChildren(...drawn);
  }

  /** The values at the pointer, or the last ones; answers the marks that go with them. */
  reading(across, along, top, bottom) {
    const { series } = this.chart;
    const nearest = points => points.reduce((best, point) =>
      Math.abs(across(point[0]) - this.pointer) < Math.abs(across(best[0]) - this.pointer) ? point : best);
    const at = this.pointer === null ? points => points[points.length - 1] : nearest;
    const found = series.map(line => at(line.points));
    const step = found[0][0];
    say(this.read, (this.pointer === null ? "" : "step " + step + ": ") + found.map(point => this.value(point[1])).join(" · "));
    const marks = found.map((point, index) =>
      shape("circle", { cx: across(point[0]), cy: along(point[1]), r: 2.5, class: this.classes("fill", series[index]) }));
    if (this.pointer !== null) {
      marks.unshift(shape("line", { class: "cursor", x1: across(step), x2: across(step), y1: top, y2: bottom }));
    }
    return marks;
  }

  /** For those who do not see it. */
  inWords() {
    const lines = this.chart.series.map(({ label, points }) => {
      const [from, to] = [points[0], points[points.length - 1]];
      const values = points.map(point => point[1]);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return (label ? label + " " : "") + "from " + this.value(from[1]) + " at step " + from[0] + " to " + this.value(to[1]) +
        " at step " + to[0] + ", between " + this.value(low) + " and " + this.value(high);
    });
    return this.chart.title + ": " + lines.join("; ") + ".";
  }
}

// The page of a study

class StudyPage {
  constructor() {
    this.address = "/state.json";
    this.rows = new Map();
    this.heads = ["run", "state", "steps", "images/s", "loss", "z-std", "rank", "probe", "left"];
    const head = element("tr", "", ...this.heads.map((text, index) => {
      const cell = element("th", index > 2 ? "n" : "", text);
      cell.scope = "col";
      return cell;
    }));
    this.body = element("tbody");
    this.whole = element("progress");
    this.whole.max = 1;
    this.whole.setAttribute("aria-label", "steps done in all runs");
    this.legend = element("p", "legend");
    $("main").replaceChildren(
      element("section", "whole", this.whole),
      element("section", "", this.legend, element("table", "runs", element("thead", "", head), this.body)));
  }

  show(state) {
    if (!state.is_study) return begin("run");
    say($("title"), state.title);
    const counts = state.counts.map(([count, text]) => count + " " + text).join(", ");
    const left = state.seconds_left == null ? "" : ". About " + duration(state.seconds_left) + " left";
    say($("summary"), state.runs.length + (state.runs.length === 1 ? " run: " : " runs: ") + counts + left + "." +
      (state.behind ? " Still reading." : ""));
    say($("foot"), state.folder);
    const done = state.runs.filter(run => ["finished", "stopped early"].includes(run.state)).length;
    const parts = state.runs.map(run => ["running", "trained"].includes(run.state) ? share(run) : 0);
    this.whole.value = (done + parts.reduce((sum, part) => sum + part, 0)) / Math.max(state.runs.length, 1);
    document.title = done + "/" + state.runs.length + " " + state.title;
    if (!this.legend.childNodes.length) {
      this.legend.append(...state.methods.map(method => element("span", "",
        element("span", "swatch back" + method.color), method.label)));
    }
    this.colors = new Map(state.methods.map(method => [method.id, method.color]));
    for (const run of state.runs) this.row(run);
    return state.runs.some(run => run.state === "running") || state.behind;
  }

  row(run) {
    let row = this.rows.get(run.id);
    if (!row) {
      row = this.newRow(run);
      this.rows.set(run.id, row);
      this.body.append(row.node);
    }
    const isHere = run.state === "running";
    row.state.className = "state " + run.state.replace(" ", "-");
    say(row.state, run.state);
    say(row.verdict, isIll(run) ? " " + run.verdict : run.state === "finished" && run.accuracy != null ? " " + percent(run.accuracy) : "");
    row.verdict.className = isIll(run) ? "ill" : "";
    say(row.detail, run.detail ? run.detail.split("\n")[0] : "");
    row.detail.title = run.detail || "";
    row.bar.hidden = !run.steps || run.state === "finished";
    row.bar.value = share(run);
    say(row.steps, steps(run));
    say(row.speed, figure(isHere ? run.images_per_second : null, 0));
    say(row.loss, figure(run.loss, 3));
    say(row.zStd, figure(run.z_std, 2));
    spark(row.lossSpark, run.loss_curve, row.color, false);
    spark(row.zStdSpark, run.z_std_curve, row.color, true);
    row.lossCell.hidden = run.loss == null;
    row.zStdCell.hidden = run.z_std == null;
    say(row.rank, figure(run.effective_rank, 1));
    say(row.probe, percent(run.probe_accuracy));
    say(row.left, run.seconds_left == null ? "" : duration(run.seconds_left));
  }

  newRow(run) {
    const color = this.colors.get(run.method) ?? 0;
    const link = element("a", "", run.label);
    link.href = "/run/" + run.id;
    const sparkline = () => shape("svg", { class: "spark", viewBox: "0 0 84 24", preserveAspectRatio: "none", "aria-hidden": "true" });
    const row = {
      color, state: element("span"), verdict: element("span"), detail: element("span", "detail"), bar: element("progress"),
      steps: element("span"), speed: element("td", "n"), loss: element("span"), zStd: element("span"), lossSpark: sparkline(),
      zStdSpark: sparkline(), rank: element("td", "n"), probe: element("td", "n"), left: element("td", "n"),
    };
    row.bar.max = 1;
    row.bar.setAttribute("aria-label", "steps of " + run.label);
    row.lossCell = element("span", "figure", row.lossSpark, row.loss);
    row.zStdCell = element("span", "figure", row.zStdSpark, row.zStd);
    const name = element("th", "", element("span", "swatch back" + color), link);
    name.scope = "row";
    const cells = [
      name, element("td", "", row.state, row.verdict, row.detail), element("td", "", row.steps, row.bar), row.speed,
      element("td", "n", row.lossCell), element("td", "n", row.zStdCell), row.rank, row.probe, row.left,
    ];
    cells.forEach((cell, index) => { if (index > 2) cell.dataset.head = this.heads[index]; });
    row.node = element("tr", "", ...cells);
    return row;
  }

  tick() {}
}

// The page of a run

class RunPage {
  constructor(id) {
    this.address = "/run/" + id + "/state.json";
    this.id = id;
    this.plots = new Map();
    this.tiles = new Map();
    this.bar = element("progress");
    this.bar.max = 1;
    this.bar.setAttribute("aria-label", "steps done");
    this.list = element("dl", "tiles");
    this.detail = element("p");
    this.charts = element("div", "charts");
    this.others = element("div", "charts");
    this.more = element("details", "more", element("summary", "", "All other figures"), this.others);
    this.views = element("section", "views");
    this.facts = element("dl");
    this.whatItIs = element("details", "", element("summary", "", "What it is"), this.facts);
    this.empty = element("p", "note", "There is nothing to draw yet: the first line of metrics comes with the first step that is logged.");
    $("main").replaceChildren(element("section", "whole", this.bar, this.list, this.detail),
      element("section", "", this.empty, this.charts), this.views, this.more, this.whatItIs);
  }

  show(state) {
    const { run } = state;
    this.run = run;
    if (state.is_study && !this.back) {
      this.back = element("a", "", state.title);
      this.back.href = "/";
      $("where").replaceChildren(this.back);
    }
    say($("title"), run.label);
    say($("foot"), state.folder);
    const about = share(run) ? Math.floor(100 * share(run)) + " % " : "";
    document.title = about + run.label;
    this.bar.value = share(run);
    say(this.detail, run.detail || "");
    this.detail.className = run.state === "failed" ? "detail error" : "detail soft";
    const method = state.method ? [["method", state.method]] : [];
    const tiles = [
      ...method, ["state", run.state], ["step", steps(run)], ["left", run.seconds_left == null ? "" : duration(run.seconds_left)],
      ["images/s", figure(run.images_per_second, 0)], ["loss", figure(run.loss, 4)], ["z-std", figure(run.z_std, 2)],
      ["rank", figure(run.effective_rank, 1)], ["verdict", run.verdict || ""], ["probe", percent(run.probe_accuracy)],
      ["evaluated", percent(run.accuracy)],
    ];
    for (const [label, text] of tiles) this.tile(label, text, label === "verdict" && isIll(run));
    this.empty.hidden = state.charts.length > 0;
    state.charts.forEach(chart => this.plot(chart, state.color));
    this.more.hidden = !state.charts.some(chart => !chart.first);
    this.showViews(state);
    this.facts.replaceChildren(...state.facts.flatMap(([label, text]) => [element("dt", "", label), element("dd", "", text)]));
    this.behind = state.behind;
    this.tick();
    return run.state === "running" || state.behind;
  }

  tile(label, text, isIll) {
    let tile = this.tiles.get(label);
    if (!tile) {
      tile = { value: element("dd") };
      tile.node = element("div", "", element("dt", "", label), tile.value);
      this.tiles.set(label, tile);
      this.list.append(tile.node);
    }
    tile.node.hidden = !text;
    tile.value.className = isIll ? "ill" : "";
    say(tile.value, text);
  }

  plot(chart, color) {
    let plot = this.plots.get(chart.title);
    if (!plot) {
      plot = new Plot();
      this.plots.set(chart.title, plot);
      (chart.first ? this.charts : this.others).append(plot.node);
    }
    plot.show(chart, color);
  }

  showViews(state) {
    if (state.views == null || this.drawn === state.views) return;
    this.drawn = state.views;
    const image = element("img");
    image.src = "/run/" + this.id + "/views.png?at=" + state.views;
    image.alt = "Contact sheet: each column shows the views of one image, as the networks see them.";
    image.decoding = "async";
    this.views.replaceChildren(element("h2", "", "What the networks see"),
      element("p", "note", "Some images of the run's first batch: each column is one image, each row one view."), image);
  }

  /** What changes without news from the server: how old the last line is. */
  tick() {
    const last = this.run && this.run.last_line;
    say($("summary"), last == null ? "No metrics yet." : "Last line of metrics " + age(last) + "." + (this.behind ? " Still reading." : ""));
  }
}

// Asking

let page, version = "";

function begin(id) {
  page = id ? new RunPage(id) : new StudyPage();
  version = "";
  return true;
}

async function ask() {
  let isAtWork = true;
  try {
    const answer = await fetch(page.address + "?since=" + version, { signal: AbortSignal.timeout(20000) });
    if (answer.status === 200) {
      const state = await answer.json();
      clockOffset = state.now - Date.now() / 1000;
      version = state.version;
      isAtWork = page.isAtWork = page.show(state);
    } else if (answer.status === 204) {
      isAtWork = page.isAtWork;
    } else {
      throw new Error(await answer.text());
    }
    $("lost").hidden = true;
  } catch (error) {
    $("lost").hidden = false;
    say($("lost"), "No answer from `diptych watch`: what you see is the last state that it told. Start it again with the same --port, and this page goes on.");
    console.warn(error);
  }
  setTimeout(whenSeen, isAtWork ? WAIT_AT_WORK : WAIT_AT_REST);
}

/** A page that nobody sees asks nothing. */
function whenSeen() {
  if (document.visibilityState === "visible") return ask();
  document.addEventListener("visibilitychange", whenSeen, { once: true });
}

const named = location.pathname.match(/^\/run\/([\w-]+)$/);
begin(named && named[1]);
setInterval(() => page.tick(), 1000);
ask();
