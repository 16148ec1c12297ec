// Elements, numbers as text, and curves. Everything shown is put in as text, never as markup.

const NAMESPACE = "http://www.w3.org/2000/svg";

/** An element of HTML with classes, and children that are elements or text. */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** An element of SVG with attributes. */
export function shape(tag, attributes, text) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Sets text only where it changed, so that a selection stays. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Numbers and words

export const figure = (value, digits) => value == null ? "" : value.toFixed(digits).replace("-", "\u2212");
export const percent = value => value == null ? "" : (100 * value).toFixed(1) + "\u00a0%";

/** With about three digits, whatever the size. */
function short(value) {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace("-", "\u2212").replace("e+", "e");
  if (value !== 0 && size < 1) return value.toPrecision(3).replace("-", "\u2212");
  return figure(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

export function duration(seconds) {
  if (seconds < 119.5) return Math.round(seconds) + "\u00a0s";
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return minutes + "\u00a0min";
  return Math.floor(minutes / 60) + "\u00a0h " + minutes % 60 + "\u00a0min";
}

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

export function spark(svg, points, color, fromZero) {
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
export class Plot {
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
