// Asks again and again what changed, and shows it.

import { Plot, duration, element, figure, percent, say, shape, spark } from "/draw.js";

const WAIT_AT_WORK = 1000, WAIT_AT_REST = 5000; // milliseconds

const $ = id => document.getElementById(id);

const steps = run => run.steps ? run.step + " of " + run.steps : run.step ? String(run.step) : "";
const share = run => run.steps ? Math.min(run.step / run.steps, 1) : 0;
const isIll = run => run.verdict === "collapsing" || run.verdict === "collapsed";

/** The server's clock; this machine's may differ. */
let clockOffset = 0;
const serverNow = () => Date.now() / 1000 + clockOffset;
const age = time => duration(Math.max(0, serverNow() - time)) + " ago";

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
    this.showMethods(state.methods);
    // A study that was begun again may have other runs, in another order.
    this.rows = new Map(state.runs.map(run => [run.id, this.row(run)]));
    const nodes = [...this.rows.values()].map(row => row.node);
    const isOther = nodes.length !== this.body.rows.length || nodes.some((node, place) => node !== this.body.rows[place]);
    if (isOther) this.body.replaceChildren(...nodes);
    return state.runs.some(run => run.state === "running") || state.behind;
  }

  /** Other methods have other colours, and the rows with them. */
  showMethods(methods) {
    const text = JSON.stringify(methods);
    if (text === this.methods) return;
    this.methods = text;
    this.colors = new Map(methods.map(method => [method.id, method.color]));
    this.legend.replaceChildren(...methods.map(method => element("span", "",
      element("span", "swatch back" + method.color), method.label)));
    this.rows.clear();
  }

  row(run) {
    const row = this.rows.get(run.id) || this.newRow(run);
    const isHere = run.state === "running";
    row.state.className = "state " + run.state.replace(" ", "-");
    say(row.state, run.state);
    say(row.verdict, isIll(run) ? " " + run.verdict : ["finished", "stopped early"].includes(run.state) && run.accuracy != null ? " " + percent(run.accuracy) : "");
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
    return row;
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
  let isAtWork = true, trouble = "";
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
      trouble = await answer.text();
    }
  } catch (error) {
    trouble = "No answer from `diptych watch`: what you see is the last state that it told. Start it again with the same --port, and this page goes on.";
    console.warn(error);
  }
  $("lost").hidden = !trouble;
  say($("lost"), trouble);
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
