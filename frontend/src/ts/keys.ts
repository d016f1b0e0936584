// Single keys. An element says which key clicks or focuses it: data-key="d". Pages to go to: data-go="m" after g.
// All of them can be switched off in the profile (WCAG 2.1.4); Ctrl+K stays, it is no single key.
let goUntil = 0;

function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return Boolean(element?.closest("input:not([type=checkbox]), textarea, select, [contenteditable]"));
}

function use(element: HTMLElement): void {
  if (element.matches("input, select, textarea")) element.focus();
  else if (element.matches("summary")) {
    const details = element.parentElement as HTMLDetailsElement;
    details.open = !details.open;
    if (details.open) details.querySelector<HTMLElement>("input, select, a, button")?.focus();
    else element.focus();
  } else element.click();
}

function rows(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>("table[data-rows] tbody tr")].filter((row) => row.querySelector("a"));
}

function move(step: number): void {
  const all = rows();
  if (all.length === 0) return;
  const now = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + step))];
  next?.querySelector<HTMLElement>("a")?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

// With Shift, everything from the row chosen last to this one.
function select(range: boolean): void {
  const row = rows().find((one) => one.contains(document.activeElement));
  const box = row?.querySelector<HTMLInputElement>("input[type=checkbox]");
  box?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: range }));
}

function escape(event: KeyboardEvent): void {
  const open = document.querySelector<HTMLDetailsElement>("details.pop[open]");
  if (open) {
    open.open = false;
    open.querySelector<HTMLElement>("summary")?.focus();
  } else if (isTyping(event.target)) (event.target as HTMLElement).blur();
  else document.querySelector<HTMLElement>("[data-back]")?.click();
}

function go(key: string): boolean {
  goUntil = 0;
  const link = document.querySelector<HTMLAnchorElement>(`a[data-go="${CSS.escape(key)}"]`);
  link?.click();
  return Boolean(link);
}

function single(key: string): boolean {
  if (Date.now() < goUntil) return go(key);
  if (key === "g") {
    goUntil = Date.now() + 1500;
    return true;
  }
  if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
  else if (key === "x" || key === "X") select(key === "X");
  else {
    const element = document.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]:not([disabled])`);
    if (!element) return false;
    use(element);
  }
  return true;
}

function fillHelp(): void {
  const place = document.querySelector("[data-page-keys]");
  if (!place) return;
  const found = document.querySelectorAll<HTMLElement>("[data-key-help]");
  place.replaceChildren(
    ...[...found].map((element) => {
      const row = document.createElement("tr");
      const key = document.createElement("td");
      const kbd = document.createElement("kbd");
      kbd.textContent = element.dataset.key ?? "";
      key.append(kbd);
      const words = document.createElement("td");
      words.textContent = element.dataset.keyHelp ?? "";
      row.append(key, words);
      return row;
    }),
  );
}

export function startKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.metaKey) return;
    if (event.key === "k" && event.ctrlKey) {
      event.preventDefault();
      document.dispatchEvent(new CustomEvent("palette:open"));
      return;
    }
    if (event.ctrlKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return escape(event);
    if (isTyping(event.target) || document.documentElement.dataset.keys === "off") return;
    if ((event.target as HTMLElement).closest("[data-own-keys]") && /^(Arrow.*|[+\-=0])$/.test(event.key)) return;
    if (single(event.key)) event.preventDefault();
  });
  document.querySelector("#help")?.addEventListener("toggle", fillHelp);
}
