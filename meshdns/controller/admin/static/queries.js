// Live queries: server-sent events into a table of the newest, while somebody looks at it.

import { el, refill, shortened } from "./dom.js";
import { count, explaining, rcodeSign } from "./words.js";

const KEPT = 100; // rows
const RATE = 50; // events a second are more than anybody reads
const TURN = 250; // ms between two changes of the table
const SAID = 5000; // ms between two changes of what is said about it

export class Queries {
  constructor() {
    this.rows = document.getElementById("queries-rows");
    this.state = document.getElementById("queries-state");
    this.form = document.getElementById("queries-form");
    this.pause = document.getElementById("queries-pause");
    this.paused = false;
    this.seen = false;
    this.stream = null;
    this.waiting = [];
    this.shown = 0;
    this.missed = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.clear();
      this.close();
      this.settle();
    });
    this.pause.addEventListener("click", () => {
      this.paused = !this.paused;
      refill(this.pause, this.paused ? "Go on" : "Pause");
      this.settle();
    });
    document.getElementById("queries-clear").addEventListener("click", () => this.clear());
    document.addEventListener("visibilitychange", () => this.settle());
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.settle();
    }).observe(document.getElementById("queries"));
    setInterval(() => this.draw(), TURN);
    setInterval(() => this.say(), SAID);
    this.clear();
  }

  /** Listen while it is wanted: workers put queries aside only as long as somebody does. */
  settle() {
    const wanted = this.seen && !this.paused && !document.hidden;
    if (wanted && !this.stream) this.open();
    if (!wanted) this.close();
    this.say();
  }

  open() {
    const words = new URLSearchParams([...new FormData(this.form)].map(([name, value]) => [name, value.trim()]));
    words.set("rate", RATE);
    this.stream = new EventSource(`/queries?${words}`);
    this.stream.addEventListener("open", () => this.say());
    this.stream.addEventListener("message", (event) => this.waiting.push(JSON.parse(event.data)));
    this.stream.addEventListener("missed", (event) => (this.missed += JSON.parse(event.data).missed));
    this.stream.addEventListener("error", () => this.say());
  }

  close() {
    this.stream?.close();
    this.stream = null;
  }

  clear() {
    this.waiting = [];
    this.shown = this.missed = 0;
    refill(this.rows);
    this.say();
  }

  draw() {
    if (!this.waiting.length) return;
    const fresh = this.waiting.splice(0).slice(-KEPT);
    if (!this.shown) refill(this.rows);
    this.shown += fresh.length;
    this.rows.prepend(...fresh.reverse().map(row));
    while (this.rows.children.length > KEPT) this.rows.lastChild.remove();
    if (this.shown === fresh.length) this.say();
  }

  say() {
    const words = this.words();
    if (this.state.textContent !== words) refill(this.state, words);
  }

  words() {
    const numbers = `${count(this.shown, "query", "queries")} shown`;
    const left = this.missed ? `, ${this.missed.toLocaleString("en")} more left out` : "";
    if (this.paused) return `Paused. ${numbers}${left}.`;
    if (this.stream?.readyState === EventSource.CLOSED) {
      return "The server does not send live queries: too many look, or it is gone. Press Filter to try again.";
    }
    if (this.stream?.readyState === EventSource.CONNECTING) return "Connecting …";
    if (!this.shown) return "Listening. Nothing was asked yet; try dig, or loosen the filter.";
    return `Listening. ${numbers}${left}.`;
  }
}

function row(query) {
  const name = query.name === "." ? "." : query.name.replace(/\.$/, "");
  return el(
    "tr",
    {},
    el("td", { class: "time" }, query.ts.slice(11, 23)),
    el("td", { class: "name" }, el("a", { href: explaining(name, query.type) }, shortened(name, 120))),
    el("td", {}, query.type),
    el("td", {}, el("span", { class: `rcode ${rcodeSign(query.rcode)}` }, query.rcode), "ede" in query ? ` EDE ${query.ede}` : null),
    el("td", {}, query.source),
    el("td", { class: "number" }, query.ms < 0.01 ? "< 0.01" : query.ms.toFixed(2)),
    el("td", {}, `${query.client} ${query.proto}`),
  );
}
