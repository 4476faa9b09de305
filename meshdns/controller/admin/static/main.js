// Puts the parts of the page to work.

import { el, refill } from "./dom.js";
import { Problems } from "./problems.js";
import { Queries } from "./queries.js";
import { Search } from "./search.js";
import { ask, every } from "./server.js";
import { Topology } from "./topology.js";
import { Traffic } from "./traffic.js";
import { count } from "./words.js";

const OVERVIEW = 3; // seconds
const TOTALS = 2;
const SHOWN_NAMES = 40; // as many names are drawn one by one

const traffic = new Traffic(document.getElementById("plots"));
const topology = new Topology(document.getElementById("drawing"), document.getElementById("tables"));
const problems = new Problems();
new Search();
new Queries();

let served = ""; // what the drawn names were asked for

every(OVERVIEW, look, failed);
every(TOTALS, async () => traffic.show(await ask("/totals")), failed);

async function look() {
  const overview = await ask("/overview");
  answered();
  introduce(overview);
  await Promise.all([nameSome(overview), problems.show(overview.problems)]);
}

/** Names are asked for again only when a commit may have changed them. */
async function nameSome(overview) {
  const serial = JSON.stringify([overview.zones, overview.names]);
  const number = overview.names.reduce((sum, each) => sum + each.count, 0);
  if (serial !== served) {
    topology.names = number && number <= 2 * SHOWN_NAMES ? (await ask("/names", { limit: SHOWN_NAMES })).items : [];
    served = serial;
  }
  topology.show(overview);
}

function introduce(overview) {
  const where = overview.cluster ? ["seen from ", el("b", {}, overview.cluster)] : ["seen from no cluster"];
  const network = overview.network ? [" in network ", el("b", {}, overview.network)] : [];
  changed("vantage", where, network);
  const waiting = overview.zones.filter((zone) => !zone.ready);
  const partial = overview.zones.filter((zone) => zone.ready && !zone.complete);
  const unsynced = overview.clusters.filter((cluster) => cluster.status !== "synced");
  if (waiting.length) condition("bad", "not ready: the own cluster was not read yet; see its reason under Topology");
  else if (partial.length) condition("warn", "answers, but denies nothing yet: a cluster was never read");
  else if (unsynced.length) condition("warn", `ready; ${count(unsynced.length, "cluster")} out of contact`);
  else condition("good", `ready; ${count(overview.clusters.length, "cluster")} in contact`);
}

function condition(sign, words) {
  document.getElementById("condition").className = sign;
  changed("condition", words);
}

/** Write only what is new: whoever listens to the page hears each thing once. */
function changed(id, ...children) {
  const fresh = el("p", {}, ...children);
  const old = document.getElementById(id);
  if (fresh.textContent !== old.textContent) refill(old, ...fresh.childNodes);
}

function answered() {
  document.getElementById("trouble").hidden = true;
  document.body.classList.remove("gone");
}

function failed(error) {
  const trouble = document.getElementById("trouble");
  document.body.classList.toggle("gone", error.gone === true);
  if (trouble.hidden || trouble.textContent !== error.message) refill(trouble, error.message);
  trouble.hidden = false;
  if (error.gone) condition("bad", "out of contact");
}
