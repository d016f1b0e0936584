// Hints from the server become refreshes of the parts that say they care: data-live="sessions schedule:12".
// One SharedWorker holds the only stream of the browser; where there is none, the tab opens its own.
import { openStream, type Message } from "./stream";

type Refresh = (element: HTMLElement) => void;

const root = document.documentElement;
const EACH_MS = 1000;
const TOGETHER_MS = 50; // hints of one change come one after the other
const due = new Map<string, number>();
let lastAt = Date.now();

function cares(element: HTMLElement, topic: string, ref: string): boolean {
  return (element.dataset.live ?? "").split(/\s+/).some((wish) => wish === topic || wish === `${topic}:${ref}`);
}

// At most once a second per part, and never while nobody looks or a menu in it is open; what was missed is made up for afterwards.
function schedule(element: HTMLElement, refresh: Refresh): void {
  const name = element.id;
  if (due.has(name)) return;
  const nextAt = Number(element.dataset.refreshedAt ?? -EACH_MS) + Number(element.dataset.liveEvery ?? EACH_MS);
  due.set(
    name,
    window.setTimeout(() => {
      due.delete(name);
      const now = document.getElementById(name);
      if (!now) return;
      if (document.hidden || now.querySelector("details.pop[open]")) now.dataset.stale = "true";
      else refresh(now);
    }, Math.max(TOGETHER_MS, nextAt - now())),
  );
}

function now(): number {
  return performance.now();
}

function all(refresh: Refresh, which: (element: HTMLElement) => boolean): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-live][id]")) if (which(element)) schedule(element, refresh);
}

function showLink(state: "live" | "waiting" | "lost"): void {
  root.dataset.link = state;
  const place = document.querySelector<HTMLElement>("[data-link-state]");
  if (!place) return;
  place.dataset.state = state;
  const since = new Date(lastAt).toLocaleTimeString("en-GB", { timeZone: root.dataset.zone, hour12: false });
  const words = { live: "Live", waiting: "Connecting", lost: `No data since ${since}` }[state];
  const label = place.querySelector("[data-link-words]");
  if (label && label.textContent !== words) label.textContent = words;
  for (const bar of document.querySelectorAll("[data-lost-since]")) bar.textContent = since;
}

export function startLive(refresh: Refresh): void {
  let wasLost = false;
  const take = (message: Message): void => {
    if (message.kind === "state") {
      if (message.at) lastAt = message.at;
      showLink(message.state);
      if (message.state === "live" && wasLost) all(refresh, () => true);
      wasLost = message.state === "lost";
    } else if (message.kind === "resync") all(refresh, () => true);
    else if (message.kind === "hint") {
      all(refresh, (element) => cares(element, message.topic, message.ref));
      document.dispatchEvent(new CustomEvent("hint", { detail: message }));
    }
  };
  const stream = root.dataset.stream ?? "/live";
  const script = root.dataset.worker;
  if (script && "SharedWorker" in window) {
    const worker = new SharedWorker(script, { name: `meterops ${stream}` });
    worker.port.onmessage = (event: MessageEvent<Message>) => take(event.data);
    worker.port.start();
    worker.port.postMessage({ kind: "open", stream });
    window.addEventListener("pagehide", () => worker.port.postMessage({ kind: "close" }));
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) worker.port.postMessage({ kind: "open", stream });
    });
  } else openStream(stream, take);
  const makeUp = (): void => {
    if (!document.hidden) all(refresh, (element) => element.dataset.stale === "true");
  };
  document.addEventListener("visibilitychange", makeUp);
  document.addEventListener("toggle", makeUp, true); // it does not bubble
  document.addEventListener("htmx:after:swap", (event) => {
    const target = (event as CustomEvent).detail?.ctx?.target as HTMLElement | undefined;
    if (!target?.dataset?.live) return;
    target.dataset.refreshedAt = String(now());
    delete target.dataset.stale;
  });
}
