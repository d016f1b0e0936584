// A list that somebody reads keeps its rows in their places: it asks for exactly these again, and the server counts what is new.
const MOVED_MS = 10_000;
let movedAt = -MOVED_MS;

function isRead(list: HTMLElement): boolean {
  const scroller = list.querySelector(".scroll");
  const rows = list.querySelector("tbody");
  if (!rows) return false;
  if ((scroller?.scrollTop ?? 0) > 0 || window.scrollY > 0) return true;
  if (rows.contains(document.activeElement) || rows.querySelector("input:checked") || document.querySelector("dialog[open]")) return true;
  return list.matches(":hover") && performance.now() - movedAt < MOVED_MS;
}

export function startHolding(): void {
  document.addEventListener("pointermove", () => (movedAt = performance.now()), { passive: true });
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = (event as CustomEvent).detail as { ctx: { sourceElement: HTMLElement; request: { body: FormData } } };
    const list = ctx.sourceElement;
    if (!list.matches("[data-holds]") || !isRead(list)) return;
    const numbers = [...list.querySelectorAll<HTMLElement>("tr[data-number]")].map((row) => row.dataset.number);
    if (numbers.length) ctx.request.body.set("shown", numbers.join(","));
  });
  document.addEventListener("click", (event) => {
    if (!(event.target as HTMLElement).closest("[data-shows-new]")) return;
    for (const place of document.querySelectorAll("[data-holds] .scroll")) place.scrollTop = 0;
    window.scrollTo(0, 0);
  });
}
