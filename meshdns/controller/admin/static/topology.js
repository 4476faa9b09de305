// Clusters → networks → gateways → names as a drawing, and the same as tables.

import { el, refill, shortened, svg, visible } from "./dom.js";
import { laidOut } from "./layout.js";
import { clusterSign, count, duration, explaining, gatewayState, gatewayStateSign, listing } from "./words.js";

const NARROW = 6.4; // px, a character of small text
const WIDE = 7.4; // px, one of a title

export class Topology {
  constructor(drawing, tables) {
    this.drawing = drawing;
    this.tables = tables;
    this.names = [];
    this.overview = null;
    this.drawn = "";
    new ResizeObserver(() => this.draw()).observe(drawing);
  }

  show(overview) {
    this.overview = overview;
    this.draw();
  }

  /** Draw anew where something changed: whoever walks through it by keyboard keeps the focus otherwise. */
  draw() {
    const width = Math.floor(this.drawing.clientWidth);
    if (!this.overview || !width) return;
    const told = this.overview.clusters.map((cluster) => ({ ...cluster, lastContact: null }));
    const now = JSON.stringify([width, this.names, { ...this.overview, zones: [], clusters: told }]);
    fill(this.tables, this.overview);
    if (now === this.drawn) return;
    this.drawn = now;
    const focused = document.activeElement?.closest?.("#drawing a")?.getAttribute("href");
    refill(this.drawing, this.overview.clusters.length ? drawn(this.overview, this.names, width) : empty());
    if (focused) this.drawing.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
}

function empty() {
  return el("p", { class: "note" }, "No cluster is known yet. See sources in the settings, and the log of meshdns serve.");
}

function drawn(overview, names, width) {
  const { nodes, edges, titles, height, elbow } = laidOut(overview, names, width);
  const unhealthy = overview.gateways.filter(isBad).length;
  const said =
    `${count(overview.clusters.length, "cluster")}, ${count(overview.networks.length, "network")}, ` +
    `${count(overview.gateways.length, "gateway")}, ${unhealthy} unhealthy`;
  return svg(
    "svg",
    { width, height, role: "group", "aria-label": `Topology: ${said}` },
    svg("g", { class: "edges" }, edges.map(([from, to]) => svg("path", { d: (elbow ? bent : curved)(from, to) }))),
    titles.map(({ text, x }) => svg("text", { class: "column", x, y: 13 }, text)),
    nodes.map(nodeDrawn),
  );
}

/** Whether clients get nothing through a gateway. */
function isBad(gateway) {
  return gateway.healthy === false || Boolean(gateway.state);
}

function curved(from, to) {
  const [x, y] = [from.x + from.width, from.y + Math.min(from.height, 42) / 2];
  const [u, v] = [to.x, to.y + Math.min(to.height, 42) / 2];
  const half = (u - x) / 2;
  return `M${x} ${y}C${x + half} ${y} ${u - half} ${v} ${u} ${v}`;
}

function bent(from, to) {
  const x = from.x + 8;
  return `M${x} ${from.y + from.height}V${to.y + to.height / 2}H${to.x}`;
}

function nodeDrawn(node) {
  switch (node.kind) {
    case "cluster": {
      const { cluster, problems } = node;
      const state = [cluster.own ? "own" : "", cluster.status, problems ? count(problems, "problem") : ""];
      const sign = clusterSign(cluster.status);
      return box(node, sign, cluster.name, state.filter(Boolean).join(" · "), problems ? "#problems" : "", "cluster");
    }
    case "network": {
      const words = node.network.own ? "own network" : count(node.network.clusters, "cluster");
      return box(node, "", node.network.name || "no network", words, "", "network");
    }
    case "gateway": {
      const { address, port } = node.gateway;
      const words = [port ? `port ${port}` : "", gatewayState(node.gateway)].filter(Boolean).join(" · ");
      return box(node, gatewayStateSign(node.gateway), address, words, "", "gateway");
    }
    case "folded": {
      const bad = node.gateways.filter(isBad).length;
      return box(node, bad ? "bad" : "", `${count(node.gateways.length, "more gateway")}`, `${bad} unhealthy`, "", "gateways");
    }
    case "bundle": {
      const { zone, cluster, count: number } = node.bundle;
      return box(node, "", count(number, "name"), zone ? `in ${zone}` : "in no zone", listing(cluster, zone), "names");
    }
    case "more": {
      const { zone, cluster, more } = node.bundle;
      return leaf(node, "", `and ${more} more`, `all names of ${cluster}`, listing(cluster, zone));
    }
    default: {
      const { name, outcome, addresses } = node.name;
      const said = addresses.length ? addresses.map(visible).join(", ") : outcome;
      return leaf(node, addresses.length ? "" : "warn", name, `${visible(name)}: ${said}`, explaining(name));
    }
  }
}

/** A node of two lines: title and state, in front a sign. */
function box(node, sign, title, state, href, kind) {
  const left = sign ? 30 : 12;
  const room = node.width - left - 8;
  const drawn = [
    svg("title", {}, `${kind} ${visible(title)}: ${state}`),
    svg("rect", { x: node.x + 0.5, y: node.y + 0.5, width: node.width - 1, height: node.height - 1, rx: 6 }),
    sign ? mark(sign, node.x + 16, node.y + 21) : null,
    svg("text", { class: "title", x: node.x + left, y: node.y + 18 }, shortened(title, Math.floor(room / WIDE))),
    svg("text", { class: "state", x: node.x + left, y: node.y + 33 }, shortened(state, Math.floor(room / NARROW))),
  ];
  return linked(href, `node ${node.kind} ${sign}`, drawn);
}

/** A node of one line. */
function leaf(node, sign, words, title, href) {
  const text = shortened(words, Math.floor((node.width - 14) / 7.0));
  return linked(href, `leaf ${sign}`, [
    svg("title", {}, title),
    svg("rect", { x: node.x, y: node.y, width: node.width, height: node.height, rx: 4 }),
    svg("text", { x: node.x + 12, y: node.y + 15 }, text),
  ]);
}

function linked(href, classes, drawn) {
  return href ? svg("a", { href, class: classes }, drawn) : svg("g", { class: classes }, drawn);
}

function mark(sign, x, y) {
  const shapes = {
    good: () => svg("circle", { cx: x, cy: y, r: 5 }),
    unsure: () => svg("circle", { cx: x, cy: y, r: 4.5 }),
    warn: () => svg("path", { d: `M${x} ${y - 6}l6 11h-12z` }),
    bad: () => svg("path", { d: `M${x - 5} ${y - 5}l10 10M${x + 5} ${y - 5}l-10 10` }),
  };
  return svg("g", { class: `mark ${sign}` }, shapes[sign]());
}

// ---------------------------------------------------------------------------------------------- tables

function fill(place, overview) {
  const heard = (cluster) => (cluster.lastContact === null ? "" : `${duration(Math.max(cluster.lastContact, 0))} ago`);
  refill(
    place,
    table(
      "Clusters",
      ["Cluster", "Status", "Network", "Source", "Heard of", "Reason"],
      overview.clusters.map((each) => [each.name, each.status, each.network, each.source, heard(each), each.reason]),
    ),
    table(
      "Gateways",
      ["Cluster", "Address", "Port", "Into network", "Health", "Declared by"],
      overview.gateways.map((each) => [
        each.cluster, each.address, each.port || "", each.network, gatewayState(each), each.origin,
      ]),
    ),
  );
}

function table(caption, headers, rows) {
  return el(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, headers.map((header) => el("th", { scope: "col" }, header)))),
      el(
        "tbody",
        {},
        rows.length
          ? rows.map(([first, ...cells]) =>
              el("tr", {}, el("th", { scope: "row" }, first), cells.map((cell) => el("td", {}, cell))),
            )
          : el("tr", {}, el("td", { colspan: headers.length }, "none")),
      ),
    ),
  );
}
