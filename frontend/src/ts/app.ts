// The shell of every page: live hints, keys, search, command list, theme, selection. Islands load beside it on the pages that have one.
import htmx from "htmx.org";
import { startClock } from "./clock";
import { startHolding } from "./holding";
import { startKeys } from "./keys";
import { startLive } from "./live";
import { startPalette } from "./palette";
import { startSearch } from "./search";
import { startSelection } from "./selection";
import { startTheme } from "./theme";

const root = document.documentElement;

document.addEventListener("htmx:config:request", (event) => {
  const token = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content;
  if (token) (event as CustomEvent).detail.ctx.request.headers["X-CSRFToken"] = token;
});

function markReady(): void {
  const waiting = document.querySelectorAll("[data-island]:not([data-done])").length;
  if (waiting === 0) root.dataset.ready = "true";
}

function startDialogs(): void {
  document.addEventListener("click", (event) => {
    const target = event.target as HTMLElement;
    const opener = target.closest<HTMLElement>("[data-opens]");
    if (opener) {
      const menu = opener.closest<HTMLDetailsElement>("details.pop");
      if (menu) menu.open = false;
      document.querySelector<HTMLDialogElement>(opener.dataset.opens ?? "")?.showModal();
    }
    if (target.closest("[data-closes]")) target.closest("dialog")?.close();
    if (target instanceof HTMLDialogElement) target.close();
    for (const open of document.querySelectorAll<HTMLDetailsElement>("details.pop[open]")) {
      if (!open.contains(target)) open.open = false;
    }
  });
  document.addEventListener("htmx:after:swap", () => {
    const open = document.querySelector<HTMLDialogElement>("dialog[open]");
    if (!open || open.contains(document.activeElement) && document.activeElement !== open) return;
    open.querySelector<HTMLElement>("[autofocus], .choices input, input:not([type=hidden])")?.focus();
  });
  document.addEventListener("change", (event) => {
    const field = event.target as HTMLElement;
    if (field.matches("[data-submits]")) (field as HTMLInputElement).form?.requestSubmit();
  });
}

startTheme();
startClock();
startKeys();
startDialogs();
startHolding();
startSelection((element) => htmx.trigger(element, "live"));
if (root.dataset.signedIn) {
  startSearch();
  startPalette();
  startLive((element) => htmx.trigger(element, "live"));
}
document.addEventListener("island:done", markReady);
if (document.readyState === "complete") markReady();
else window.addEventListener("load", markReady);
