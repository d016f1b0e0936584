// The clock of the top bar and the ages ("3 min ago") of the page, in the operator's zone.
const zone = document.documentElement.dataset.zone ?? "UTC";
const time = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
const abbreviation = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "short" });

export function age(seconds: number): string {
  if (seconds < 5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function refresh(): void {
  const now = new Date();
  const clock = document.querySelector<HTMLElement>("[data-clock]");
  if (clock) {
    const name = abbreviation.formatToParts(now).find((part) => part.type === "timeZoneName")?.value ?? "";
    clock.innerHTML = "";
    const strong = document.createElement("b");
    strong.textContent = time.format(now);
    clock.append(strong, ` ${name}`);
    clock.title = `${now.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  }
  for (const element of document.querySelectorAll<HTMLTimeElement>("time[data-age]")) {
    const at = Date.parse(element.dateTime);
    if (!Number.isNaN(at)) element.textContent = age((now.getTime() - at) / 1000);
  }
}

export function startClock(): void {
  refresh();
  setInterval(refresh, 5000);
  document.addEventListener("htmx:after:swap", refresh);
}
