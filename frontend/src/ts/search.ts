// The one search box: results while typing, arrows and Enter; Enter on no result shows the full list.
export function startSearch(): void {
  const input = document.querySelector<HTMLInputElement>("#search");
  const menu = document.querySelector<HTMLElement>("#search-results");
  if (!input || !menu) return;
  let chosen = -1;
  let asked = 0;
  let timer = 0;

  const links = (): HTMLAnchorElement[] => [...menu.querySelectorAll<HTMLAnchorElement>("a")];
  const close = (): void => {
    menu.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    chosen = -1;
  };
  const show = (index: number): void => {
    const all = links();
    chosen = all.length === 0 ? -1 : (index + all.length) % all.length;
    all.forEach((link, at) => link.setAttribute("aria-selected", String(at === chosen)));
    const link = all[chosen];
    if (link) {
      input.setAttribute("aria-activedescendant", link.id);
      link.scrollIntoView({ block: "nearest" });
    }
  };
  const ask = async (): Promise<void> => {
    const text = input.value.trim();
    if (text.length < 2) return close();
    const mine = ++asked;
    const answer = await fetch(`${input.form?.action ?? "/search"}?part=results&q=${encodeURIComponent(text)}`, {
      headers: { "HX-Request": "true" },
    }).catch(() => undefined);
    if (mine !== asked || !answer?.ok) return;
    menu.innerHTML = await answer.text();
    menu.hidden = false;
    input.setAttribute("aria-expanded", "true");
    show(0);
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void ask(), 120);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!menu.hidden) show(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Escape") close();
    else if (event.key === "Enter" && !menu.hidden && chosen >= 0) {
      event.preventDefault();
      links()[chosen]?.click();
    }
  });
  input.addEventListener("blur", () => window.setTimeout(close, 150));
}
