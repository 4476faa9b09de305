// Numbers, times and states in words.

/** A number of things: "1 name", "3 names". */
export function count(number, noun, nouns = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : nouns}`;
}

/** A number with as many digits as mean something. */
export function brief(number) {
  if (number >= 10_000) return `${(number / 1000).toFixed(number >= 100_000 ? 0 : 1)}k`;
  if (number >= 100 || Number.isInteger(number)) return number.toFixed(0);
  return number.toFixed(number >= 10 ? 1 : 2);
}

/** Seconds as a person says them. */
export function duration(seconds) {
  if (seconds < 1e-3) return `${Math.max(seconds * 1e6, 0).toFixed(0)} µs`;
  if (seconds < 1) return `${brief(seconds * 1e3)} ms`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

/** A name with its final dot. */
export function dotted(name) {
  return name.endsWith(".") ? name : `${name}.`;
}

/** The sign of a cluster's status: good, warn, bad. */
export function clusterSign(status) {
  return { synced: "good", stale: "warn", removed: "warn" }[status] ?? "bad";
}

/** The sign of a gateway's health: good, bad, unsure. */
export function gatewaySign(healthy) {
  return healthy === null ? "unsure" : healthy ? "good" : "bad";
}

/** A gateway's health in words. */
export function health(healthy) {
  return healthy === null ? "not probed" : healthy ? "healthy" : "unhealthy";
}

/** The sign of a gateway: bad without an address, else that of its health. */
export function gatewayStateSign(gateway) {
  return gateway.state ? "bad" : gatewaySign(gateway.healthy);
}

/** Why a gateway has no address, else its health in words. */
export function gatewayState(gateway) {
  return gateway.state ? `no address: ${gateway.state}` : health(gateway.healthy);
}

/** The sign of an RCODE: good, warn (a denial), bad. */
export function rcodeSign(rcode) {
  return { NOERROR: "good", NXDOMAIN: "warn" }[rcode] ?? "bad";
}

/** Where the explanation of a name is on this page. */
export function explaining(name, type = "A") {
  return `#explain/${encodeURIComponent(name)}/${encodeURIComponent(type)}`;
}

/** Where the names of a zone that rest on a cluster are on this page. */
export function listing(cluster, zone) {
  return `#list/${encodeURIComponent(cluster)}/${encodeURIComponent(zone)}`;
}
