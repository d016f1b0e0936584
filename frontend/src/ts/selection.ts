// Rows picked with x or the mouse, and what can be done with them. The server is told ids and checks everything again.
const TOAST_MS = 8000;
const BOXES = "tbody .pick input[type=checkbox]";

function boxesOf(form: HTMLFormElement): HTMLInputElement[] {
  return [...form.querySelectorAll<HTMLInputElement>(BOXES)];
}

function refresh(form: HTMLFormElement): void {
  const boxes = boxesOf(form);
  const picked = boxes.filter((box) => box.checked).length;
  const places = [...form.querySelectorAll<HTMLElement>("[data-picked]")];
  const name = form.getAttribute("id"); // form.id is its field of that name where it has one
  if (name) places.push(...document.querySelectorAll<HTMLElement>(`[data-picked-for="#${name}"]`));
  for (const place of places) place.textContent = String(picked);
  for (const bar of form.querySelectorAll<HTMLElement>("[data-when-picked]")) bar.hidden = picked === 0;
  const every = form.querySelector<HTMLInputElement>("[data-pick-all]");
  if (every) {
    every.checked = picked > 0 && picked === boxes.length;
    every.indeterminate = picked > 0 && picked < boxes.length;
  }
}

// An act with nothing picked means the row that has the focus: it is picked first, so that everybody sees what is meant.
function pickFocused(form: HTMLFormElement): void {
  if (boxesOf(form).some((box) => box.checked)) return;
  const row = document.activeElement?.closest("tbody tr");
  const box = row && form.contains(row) ? row.querySelector<HTMLInputElement>(".pick input[type=checkbox]") : null;
  if (box) box.checked = true;
  refresh(form);
}

// What was done is done: the next act begins with nothing picked.
function forget(form: HTMLFormElement): void {
  for (const box of boxesOf(form)) box.checked = false;
  refresh(form);
}

// What was done is read and goes; what was refused stays until the next act.
let leaving = 0;
function clearToast(): void {
  window.clearTimeout(leaving);
  leaving = window.setTimeout(() => document.querySelector(".toast .notice.done")?.remove(), TOAST_MS);
}

export function startSelection(lookAgain: (element: HTMLElement) => void): void {
  let from: HTMLInputElement | undefined;
  document.addEventListener(
    "click",
    (event) => {
      const act = (event.target as HTMLElement).closest<HTMLElement>("[data-act], [data-picks-row]");
      const form = act?.closest<HTMLFormElement>("form[data-picks]");
      if (form) pickFocused(form);
    },
    true,
  );
  document.addEventListener("click", (event) => {
    const box = event.target as HTMLInputElement;
    if (!box.matches?.(BOXES) || !box.form) return;
    const boxes = boxesOf(box.form);
    if (event.shiftKey && from && boxes.includes(from)) {
      const [low, high] = [boxes.indexOf(from), boxes.indexOf(box)].sort((a, b) => a - b) as [number, number];
      for (const one of boxes.slice(low, high + 1)) one.checked = box.checked;
    }
    from = box;
  });
  document.addEventListener("change", (event) => {
    const box = event.target as HTMLInputElement;
    const form = box.form;
    if (!form?.matches("[data-picks]")) return;
    if (box.matches("[data-pick-all]")) for (const one of boxesOf(form)) one.checked = box.checked;
    refresh(form);
  });
  document.addEventListener("htmx:after:swap", () => {
    for (const form of document.querySelectorAll<HTMLFormElement>("form[data-picks]")) refresh(form);
  });
  document.addEventListener("acted", () => {
    clearToast();
    for (const dialog of document.querySelectorAll<HTMLDialogElement>("dialog[open]")) dialog.close();
    for (const form of document.querySelectorAll<HTMLFormElement>("form[data-picks]")) forget(form);
    for (const list of document.querySelectorAll<HTMLElement>("[data-holds]")) lookAgain(list);
  });
}
