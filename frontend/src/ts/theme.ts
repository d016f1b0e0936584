// Light by default, dark, high contrast. Kept per browser, because it belongs to the room and not to the person.
const order = ["light", "dark", "contrast"];

export function startTheme(): void {
  document.addEventListener("click", (event) => {
    if (!(event.target as HTMLElement).closest("[data-theme-switch]")) return;
    const root = document.documentElement;
    const next = order[(order.indexOf(root.dataset.theme ?? "light") + 1) % order.length] ?? "light";
    root.dataset.theme = next;
    document.cookie = `meterops_theme=${next};path=/;max-age=31536000;samesite=lax`;
    const words: Record<string, string> = { light: "Light", dark: "Dark", contrast: "High contrast" };
    const label = document.querySelector("[data-theme-name]");
    if (label) label.textContent = `Theme: ${words[next]}`;
    document.dispatchEvent(new CustomEvent("theme:changed"));
  });
}

export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
