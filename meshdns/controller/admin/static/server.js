// Asking the server, and saying what to do when it does not answer.

const PATIENCE = 10_000; // ms

/** Why a question has no answer; the message says what to do. */
export class Unanswered extends Error {
  constructor(message, gone) {
    super(message);
    this.gone = gone; // nobody is there at all
  }
}

const GONE =
  "The server does not answer; what is shown is old. Start meshdns again, or see its log " +
  "(kubectl logs, journalctl -u meshdns). This page goes on by itself as soon as it is back.";

/** The JSON at a path of the admin port. */
export async function ask(path, query = {}) {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  let response;
  let told;
  try {
    response = await fetch(`${path}?${words}`, { signal: AbortSignal.timeout(PATIENCE), redirect: "error" });
    told = await response.json();
  } catch {
    throw new Unanswered(GONE, true);
  }
  if (!response.ok) throw new Unanswered(told.error ?? `status ${response.status}; see the log of meshdns serve`, false);
  return told;
}

/** Do some work every so many seconds while somebody looks, one after the other. Its faults go to `failed`. */
export function every(seconds, work, failed) {
  let timer = null;
  let running = false;
  async function turn() {
    if (running) return;
    running = true;
    clearTimeout(timer);
    try {
      if (!document.hidden) await work();
    } catch (error) {
      failed(error);
    } finally {
      running = false;
      timer = setTimeout(turn, seconds * 1000);
    }
  }
  document.addEventListener("visibilitychange", () => document.hidden || turn());
  return turn();
}
