// Rows picked with x or the mouse, and what can be done with them. The server is told ids and checks everything again.
function refresh(form: HTMLFormElement): void {
  const boxes = [...form.querySelectorAll<HTMLInputElement>("tbody input[type=checkbox]")];
  const picked = boxes.filter((box) => box.checked).length;
  for (const place of form.querySelectorAll<HTMLElement>("[data-picked]")) place.textContent = String(picked);
  for (const bar of form.querySelectorAll<HTMLElement>("[data-when-picked]")) bar.hidden = picked === 0;
  const every = form.querySelector<HTMLInputElement>("[data-pick-all]");
  if (every) {
    every.checked = picked > 0 && picked === boxes.length;
    every.indeterminate = picked > 0 && picked < boxes.length;
  }
}

export function startSelection(): void {
  let from: HTMLInputElement | undefined;
  document.addEventListener("click", (event) => {
    const box = event.target as HTMLInputElement;
    if (!box.matches?.("tbody .pick input[type=checkbox]") || !box.form) return;
    const boxes = [...box.form.querySelectorAll<HTMLInputElement>("tbody .pick input[type=checkbox]")];
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
    if (box.matches("[data-pick-all]")) {
      for (const one of form.querySelectorAll<HTMLInputElement>("tbody .pick input[type=checkbox]")) one.checked = box.checked;
    }
    refresh(form);
  });
  document.addEventListener("htmx:after:swap", () => {
    for (const form of document.querySelectorAll<HTMLFormElement>("form[data-picks]")) refresh(form);
  });
}
