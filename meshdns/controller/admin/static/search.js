// Looking for names, and having one explained.

import { el, refill, shortened } from "./dom.js";
import { explained } from "./explanation.js";
import { ask } from "./server.js";
import { count, explaining } from "./words.js";

const SHOWN = 50;
const PAUSE = 200; // ms without a key before names are looked for

export class Search {
  constructor() {
    this.name = document.getElementById("search-name");
    this.type = document.getElementById("search-type");
    this.found = document.getElementById("found");
    this.number = document.getElementById("found-number");
    this.place = document.getElementById("explanation");
    this.selection = {}; // the cluster and zone that names are looked for in
    this.turn = 0; // answers that come after the next question are not shown
    let timer = null;
    this.name.addEventListener("input", () => {
      clearTimeout(timer);
      this.selection = {};
      timer = setTimeout(() => this.look(), PAUSE);
    });
    this.name.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") this.step(event, -1, 1);
    });
    this.found.addEventListener("keydown", (event) => {
      const links = [...this.found.querySelectorAll("a")];
      const at = links.indexOf(document.activeElement);
      if (event.key === "ArrowDown") this.step(event, at, 1);
      if (event.key === "ArrowUp") this.step(event, at, -1);
    });
    document.getElementById("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.go();
    });
    window.addEventListener("hashchange", () => this.follow(true));
    this.look();
    this.follow(false);
  }

  /** From one of the links to the next, from the first up to the field. */
  step(event, at, by) {
    const links = [...this.found.querySelectorAll("a")];
    const next = at + by < 0 ? this.name : links[at + by];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }

  go() {
    const name = this.name.value.trim().replace(/\.$/, "");
    if (!name) {
      this.name.focus();
      return;
    }
    const target = explaining(name, this.type.value);
    if (window.location.hash === target) this.follow(true);
    else window.location.hash = target;
  }

  /** Do what the address says: explain a name, or list those of a cluster. */
  follow(focus) {
    const [what, first = "", second = ""] = window.location.hash.slice(1).split("/").map(plain);
    if (what === "explain") this.explain(first, second || "A", focus);
    if (what === "list") {
      this.name.value = "";
      this.selection = { cluster: first, zone: second };
      this.look();
      document.getElementById("search").focus();
      document.getElementById("search").scrollIntoView();
    }
  }

  async look() {
    const turn = ++this.turn;
    const wanted = this.name.value.trim().toLowerCase();
    const { cluster = "", zone = "" } = this.selection;
    try {
      const { items } = await ask("/names", { name: wanted, cluster, zone, limit: SHOWN + 1 });
      if (turn === this.turn) this.list(items, wanted);
    } catch (error) {
      if (turn === this.turn) refill(this.number, error.message);
    }
  }

  list(items, wanted) {
    const { cluster = "", zone = "" } = this.selection;
    const where = [cluster && `resting on ${cluster}`, zone && `in ${zone}`].filter(Boolean).join(" ");
    const number = items.length > SHOWN ? `The first ${SHOWN} names` : count(items.length, "name");
    const holding = wanted ? `with “${wanted}”` : "";
    const next = items.length > SHOWN ? "; type more of the name to see others" : items.length ? "" : "; Explain says why";
    refill(this.number, [number, where, holding].filter(Boolean).join(" "), wanted || items.length ? next : "", ".");
    refill(this.found, items.slice(0, SHOWN).map((item) => this.row(item)));
  }

  row(item) {
    const addresses = item.addresses.length ? shortened(item.addresses.join(", "), 60) : item.outcome;
    return el(
      "li",
      {},
      el("a", { href: explaining(item.name) }, el("span", { class: "name" }, item.name)),
      el("span", { class: item.addresses.length ? "addresses" : "addresses none" }, addresses),
    );
  }

  async explain(name, type, focus) {
    this.asked = `${name} ${type}`;
    this.place.setAttribute("aria-busy", "true");
    let shown;
    try {
      shown = explained(await ask("/explain", { name, type }));
    } catch (error) {
      shown = [el("h3", { tabindex: "-1" }, `${shortened(name, 200)} ${type}`), el("p", { class: "trouble" }, error.message)];
    }
    if (this.asked !== `${name} ${type}`) return;
    this.place.removeAttribute("aria-busy");
    refill(this.place, shown);
    if (!focus) return;
    document.getElementById("search").scrollIntoView();
    this.place.querySelector("h3").focus({ preventScroll: window.innerWidth >= 900 });
  }
}

/** A part of the address; what is no valid one stays as it is. */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
