// What is wrong, and what to do about it.

import { el, refill } from "./dom.js";
import { ask } from "./server.js";
import { count } from "./words.js";

const SHOWN = 200;

export class Problems {
  constructor() {
    this.counts = null;
    this.items = [];
    this.normal = document.getElementById("problems-normal");
    this.normal.addEventListener("change", () => this.draw());
  }

  /** Ask again where the numbers changed. */
  async show(counts) {
    const now = JSON.stringify(counts);
    if (now === this.known) return;
    this.items = counts.length ? (await ask("/problems", { limit: SHOWN })).items : [];
    this.counts = counts;
    this.known = now;
    this.draw();
  }

  draw() {
    const sum = (counts) => counts.reduce((total, each) => total + each.count, 0);
    const alarms = sum((this.counts ?? []).filter((each) => !each.normal));
    const normal = sum((this.counts ?? []).filter((each) => each.normal));
    const shown = this.items.filter((each) => this.normal.checked || !each.normal);
    const wanted = alarms + (this.normal.checked ? normal : 0);
    const number = document.getElementById("problem-number");
    refill(number, alarms.toLocaleString("en"));
    number.hidden = !alarms;
    refill(
      document.getElementById("problems-summary"),
      alarms ? count(alarms, "problem") : "No problems",
      normal ? `; ${normal.toLocaleString("en")} normal, which alarm nobody` : "",
      shown.length < wanted ? `; the first ${shown.length} are shown, meshdns get problems lists all` : "",
      ".",
    );
    refill(document.getElementById("problems-list"), shown.map(problem));
  }
}

/** One problem: what it is about, what is wrong, what to do. */
export function problem(each) {
  const named = [each.cluster, each.namespace, each.name].filter(Boolean).join("/");
  return el(
    "li",
    { class: each.normal ? "problem normal" : "problem" },
    el("p", { class: "about" }, el("span", { class: "badge" }, each.kind), " ", each.object, " ", el("b", {}, named)),
    el("p", {}, each.field ? [el("code", {}, each.field), ": "] : null, each.reason),
    each.advice ? el("p", { class: "advice" }, el("b", {}, "What to do: "), each.advice) : null,
    each.where ? el("p", { class: "note" }, each.where) : null,
  );
}
