// Rates and latencies of the last minutes, from counters that are asked for every few seconds.

import { el, refill, svg } from "./dom.js";
import { brief, duration } from "./words.js";

const KEPT = 150; // points: five minutes
const WIDTH = 300;
const HEIGHT = 48;
const FEWEST = 1; // answers a point must rest on to have a latency

const PLOTS = [
  { title: "Answers per second", lines: [["answers", "answers", (point) => point.rate]], words: brief },
  {
    title: "Time to answer",
    lines: [
      ["99 of 100", "p99", (point) => point.p99],
      ["half", "p50", (point) => point.p50],
    ],
    words: duration,
  },
  {
    title: "Denied and failed per second",
    lines: [
      ["denied (NXDOMAIN)", "denied", (point) => point.denied],
      ["failed (SERVFAIL, REFUSED …)", "failed", (point) => point.failed],
    ],
    words: brief,
  },
];

export class Traffic {
  constructor(place) {
    this.last = null;
    this.points = [];
    this.plots = PLOTS.map((plot) => new Plot(plot));
    place.append(...this.plots.map((plot) => plot.element));
  }

  show(totals) {
    if (this.last && totals.time > this.last.time) {
      this.points.push(between(this.last, totals));
      this.points.splice(0, this.points.length - KEPT);
    }
    this.last = totals;
    for (const plot of this.plots) plot.draw(this.points);
  }
}

/** Rates and latencies between two readings; all zero where counters began anew. */
function between(before, after) {
  const seconds = after.time - before.time;
  const grown = (now, then = 0) => Math.max(now - then, 0);
  let all = 0;
  let denied = 0;
  let failed = 0;
  for (const [rcode, number] of Object.entries(after.responses)) {
    const more = grown(number, before.responses[rcode]);
    all += more;
    if (rcode === "NXDOMAIN") denied += more;
    else if (rcode !== "NOERROR") failed += more;
  }
  const taken = after.durations.map((number, at) => grown(number, before.durations[at]));
  return {
    rate: all / seconds,
    denied: denied / seconds,
    failed: failed / seconds,
    p50: quantile(taken, after.bounds, 0.5),
    p99: quantile(taken, after.bounds, 0.99),
  };
}

/** A quantile of a histogram in seconds, linear inside a bucket; null where nothing was counted. */
function quantile(taken, bounds, part) {
  const all = taken.reduce((sum, number) => sum + number, 0);
  if (all < FEWEST) return null;
  let wanted = all * part;
  for (const [at, number] of taken.entries()) {
    const low = at ? bounds[at - 1] : 0;
    if (wanted <= number && number) return at < bounds.length ? low + ((bounds[at] - low) * wanted) / number : low;
    wanted -= number;
  }
  return bounds[bounds.length - 1];
}

class Plot {
  constructor({ title, lines, words }) {
    this.lines = lines;
    this.words = words;
    this.title = title;
    this.legend = el("ul", { class: "values" });
    this.top = el("span", { class: "top", "aria-hidden": "true" });
    this.canvas = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.element = el(
      "figure",
      { class: "plot" },
      el("figcaption", {}, title),
      this.legend,
      el("div", { class: "spark" }, this.canvas, this.top),
    );
    this.draw([]);
  }

  draw(points) {
    const values = this.lines.map(([, , read]) => points.map(read));
    const highest = Math.max(...values.flat().filter((value) => value !== null), 0);
    const now = values.map((line) => line.findLast((value) => value !== null) ?? null);
    const said = (value) => (value === null ? "–" : this.words(value));
    refill(
      this.legend,
      this.lines.map(([name, sign], at) =>
        el("li", { class: sign }, el("b", {}, said(now[at])), this.lines.length > 1 ? el("span", {}, name) : null),
      ),
    );
    refill(this.top, highest ? `highest ${this.words(highest)}` : "");
    const told = this.lines.map(([name], at) => `${name} ${said(now[at])}`).join(", ");
    this.canvas.setAttribute("aria-label", `${this.title}, last five minutes: now ${told}; highest ${said(highest)}`);
    refill(
      this.canvas,
      svg("path", { class: "ground", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }),
      this.lines.map(([, sign], at) => curve(values[at], highest, sign)),
    );
  }
}

/** One line and the area below it; gaps where there is no value. */
function curve(values, highest, sign) {
  const x = (at) => (WIDTH * (KEPT - values.length + at)) / (KEPT - 1);
  const y = (value) => HEIGHT - 1 - (highest ? (value / highest) * (HEIGHT - 4) : 0);
  let line = "";
  let area = "";
  let start = null;
  for (const [at, value] of values.entries()) {
    if (value === null) continue;
    const begins = start === null;
    if (begins) start = at;
    line += `${begins ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    if (at + 1 === values.length || values[at + 1] === null) {
      area += `${line.slice(line.lastIndexOf("M"))}V${HEIGHT}H${x(start).toFixed(1)}Z`;
      line += "h0.1";
      start = null;
    }
  }
  return svg("g", { class: sign }, svg("path", { class: "area", d: area }), svg("path", { class: "line", d: line }));
}
