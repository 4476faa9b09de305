// An explanation in words: the answer first, then the steps that led to it, in their order.

import { el } from "./dom.js";
import { problem } from "./problems.js";
import { dotted, explaining, gatewaySign, health, rcodeSign } from "./words.js";

const MODES = {
  gateway: "what can be reached from here",
  vip: "the own cluster's virtual addresses first",
  endpoints: "endpoint addresses, as if all networks were one",
};

const FATES = {
  chosen: ["good", "answers"],
  lost: ["quiet", "lost"],
  "yields nothing": ["warn", "yields nothing"],
  "still to come": ["warn", "still to come"],
  forwarded: ["quiet", "forwarded"],
};

/** What is shown for an explanation, beginning with a heading. */
export function explained(it) {
  const steps = [
    step("Zone", zone(it)),
    step("Match", match(it)),
    ...it.declarations.map(declaration),
    ...it.refusals.map(refusal),
    ...gateways(it),
    ...carriage(it),
    ...gatewayProblems(it),
  ];
  return [
    el("h3", { tabindex: "-1" }, el("span", { class: "name" }, it.name), " ", el("span", { class: "type" }, it.type)),
    el("p", { class: "verdict" }, ...verdict(it)),
    ...because(it),
    el("p", { class: "note" }, from(it.vantage)),
    el("ol", { class: "steps" }, steps),
    el("p", { class: "note" }, "In a terminal: ", el("code", {}, `meshdns explain ${quoted(it.name)} ${it.type}`)),
  ];
}

function verdict(it) {
  const { reply, forwarding } = it;
  if (!reply) {
    return forwarding
      ? [badge("quiet", "forwarded"), ` to ${forwarding.servers.join(", ")}, by the forward zone ${dotted(forwarding.zone)}`]
      : [badge("bad", "REFUSED"), " no forward zone takes it; add one to forward in the settings"];
  }
  const records = reply.records.map((record) => [
    el("span", { class: "record" }, record.type === it.type ? record.data : `${record.type} ${record.data}`),
    " ",
  ]);
  if (records.length) return [badge(rcodeSign(reply.rcode), reply.rcode), " ", records, el("span", { class: "note" }, `TTL ${reply.records[0].ttl} s`)];
  if (reply.rcode === "NOERROR") return [badge("warn", "NODATA"), " the name exists, but has nothing of this type"];
  return [badge(rcodeSign(reply.rcode), reply.rcode)];
}

/** Why it is so, as far as one sentence says it. */
function because(it) {
  const lines = [];
  if (it.reason) lines.push(el("p", {}, it.reason));
  if (it.reply?.errorCode >= 0) lines.push(el("p", {}, `Extended error ${it.reply.errorCode}: ${it.reply.error}`));
  if (it.reply?.negativeTtl >= 0) {
    lines.push(el("p", { class: "note" }, `Caches may keep this denial for ${it.reply.negativeTtl} s.`));
  }
  if (it.reply && it.zone?.fallback && it.forwarding) {
    lines.push(el("p", { class: "note" }, "Only where the zone's upstream denies the name."));
  }
  if (it.nearest.length) {
    const links = it.nearest.map((name) => [" ", el("a", { href: explaining(name, it.type), class: "name" }, name)]);
    lines.push(el("p", {}, "Nearest known names:", links));
  }
  return lines;
}

function from(standing) {
  const cluster = standing.cluster ? `cluster ${standing.cluster}` : "no cluster";
  return `Seen from ${cluster}, ${standing.network ? `network ${standing.network}` : "no network"}.`;
}

function zone(it) {
  const known = it.zone;
  if (!known) return ["none of the mesh (", named(it.vantage.zones.map((each) => each.name)), ")"];
  if (known.fallback) {
    const first = known.upstream.length ? `${known.upstream.join(", ")} is asked first` : "the asker has asked upstream";
    return [named([known.name]), `, ${first}; where it denies the name, the mesh answers`];
  }
  const unknown = known.fallthrough ? "forwarded" : "denied";
  return [named([known.name]), ` answers with ${MODES[known.answer] ?? known.answer}; unknown names are ${unknown}`];
}

function match(it) {
  const { kind, owner, moreSpecific, lessSpecific } = it.match;
  const words = {
    exact: ["exactly ", named([owner]), " is known"],
    wildcard: ["the wildcard ", named([owner]), " covers it"],
    "empty non-terminal": "only names below it are known",
    apex: "the apex of the zone",
    "of the zone itself": "a name that exists because of the zone itself",
    "made of another name": ["made of ", named([owner])],
    none: "the name is not known",
    "outside the zones": "the name is outside the zones",
  };
  return [
    words[kind] ?? kind,
    moreSpecific.length ? el("div", { class: "note" }, "more specific, not known: ", named(moreSpecific)) : null,
    lessSpecific.length ? el("div", { class: "note" }, "less specific, beaten: ", named(lessSpecific)) : null,
  ];
}

/** Names one after the other. */
function named(names) {
  return names.map((name, at) => [at ? ", " : null, el("span", { class: "name" }, dotted(name))]);
}

function declaration(each) {
  const object = [each.cluster, each.namespace, each.name].filter(Boolean).join("/");
  return el(
    "li",
    {},
    el("p", {}, el("b", {}, `${each.kind} ${object}`.trim()), each.host ? [" for ", el("span", { class: "name" }, each.host)] : null),
    el("p", { class: "note" }, `level ${each.level}: ${each.source}`),
    el("ul", { class: "endpoints" }, each.endpoints.map(endpoint)),
    each.problems.length ? el("ul", { class: "problems" }, each.problems.map((found) => told(each.cluster, found))) : null,
  );
}

function endpoint(each) {
  const [sign, word] = FATES[each.fate] ?? ["quiet", each.fate];
  const subject = [each.field, each.written].filter(Boolean).join(" ");
  return el(
    "li",
    {},
    el("p", {}, badge(sign, word), " ", each.address ? el("span", { class: "record" }, each.address) : null,
      each.reach ? `, ${each.reach}` : null, each.ready ? null : ", not ready"),
    each.reason ? el("p", {}, "because ", each.reason) : null,
    el("p", { class: "note" }, subject ? [el("code", {}, subject), ": "] : null, each.rule),
    each.gateway ? el("p", { class: "note" }, "gateway of ", gateway(each.gateway)) : null,
  );
}

function gateway(each) {
  const words = [each.port ? `port ${each.port}` : "", each.origin, each.network ? `into network ${each.network}` : ""];
  return [`${each.cluster}: ${each.address}, `, words.filter(Boolean).map((word) => `${word}, `),
    el("span", { class: `text-${gatewaySign(each.healthy)}` }, health(each.healthy))];
}

function refusal(each) {
  const { problem: found, cluster } = each;
  const object = [cluster, found.namespace, found.name].filter(Boolean).join("/");
  return step(`${found.object} ${object}`, [
    "names it, but does not count",
    el("ul", { class: "problems" }, told(cluster, found)),
  ]);
}

function gateways(it) {
  const shown = new Set(
    it.declarations.flatMap((each) => each.endpoints).filter((each) => each.gateway)
      .map((each) => JSON.stringify([each.gateway.cluster, each.gateway.address])),
  );
  const others = it.gateways.filter((each) => !shown.has(JSON.stringify([each.cluster, each.address])));
  return others.length ? [step("Other gateways that could carry it", list(others.map(gateway)))] : [];
}

function carriage(it) {
  if (!it.carriage.length) return [];
  const lines = it.carriage.flatMap((each) => carried(each, it.name));
  return [step("What the gateways can carry", ["mesh TLS, passed through; neither plain text nor UDP", list(lines)])];
}

function carried({ cluster, openings, passes }, name) {
  if (!openings) return [`${cluster}: for which hosts is not known: no Gateway of it is read that says so`];
  const lines = openings.map((each) => {
    const host = [each.namespace, each.host].filter(Boolean).join("/");
    return `${cluster}: port ${each.port}, for ${host} (${each.origin})`;
  });
  if (!lines.length) lines.push(`${cluster}: for no host: no Gateway of it passes TLS through by itself`);
  if (passes !== null) lines.push(`${dotted(name)} ${passes ? "is among them" : "is not among them: clients get no further"}`);
  return lines;
}

function gatewayProblems(it) {
  const found = it.gatewayProblems;
  if (!found.length) return [];
  return [step("Problems of gateways", el("ul", { class: "problems" }, found.map((each) => told(each.cluster, each.problem))))];
}

function told(cluster, found) {
  return problem({ cluster, normal: false, where: "", ...found });
}

function step(title, ...content) {
  return el("li", {}, el("b", {}, title), ": ", content);
}

function list(lines) {
  return el("ul", {}, lines.map((line) => el("li", {}, line)));
}

function badge(sign, word) {
  return el("span", { class: `badge ${sign}` }, word);
}

/** A name as a shell takes it. */
function quoted(name) {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
