// One EventSource that notices silence by itself: the server says something every three seconds, so eight without a word are a lost
// link, and the page says so within ten.
export type Message =
  | { kind: "state"; state: "live" | "waiting" | "lost"; at: number }
  | { kind: "hint"; topic: string; ref: string }
  | { kind: "resync" };

const SILENCE_MS = 8000;
const AGAIN_MS = 2000;

export function openStream(url: string, tell: (message: Message) => void): () => void {
  let source: EventSource | undefined;
  let lastId = "";
  let heardAt = 0;
  let lostSince = Date.now();
  let state: "live" | "waiting" | "lost" = "waiting";

  const show = (next: typeof state): void => {
    state = next;
    tell({ kind: "state", state, at: heardAt });
  };
  const heard = (event: MessageEvent): void => {
    if (event.lastEventId) lastId = event.lastEventId;
    heardAt = Date.now();
    if (state !== "live") show("live");
  };
  const open = (): void => {
    source?.close();
    source = new EventSource(lastId ? `${url}?after=${encodeURIComponent(lastId)}` : url);
    source.addEventListener("beat", heard);
    source.addEventListener("resync", (event) => {
      heard(event);
      tell({ kind: "resync" });
    });
    source.addEventListener("hint", (event) => {
      heard(event);
      const { topic, ref } = JSON.parse(event.data) as { topic: string; ref: string };
      tell({ kind: "hint", topic, ref });
    });
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
    };
  };
  const timer = setInterval(() => {
    const quiet = Date.now() - (heardAt || lostSince);
    if (quiet > SILENCE_MS) {
      if (!heardAt) heardAt = lostSince;
      if (state !== "lost") show("lost");
      if (quiet % (5 * SILENCE_MS) < 1000) open();
    } else lostSince = Date.now() - quiet;
  }, 1000);
  open();
  return () => {
    clearInterval(timer);
    source?.close();
  };
}
