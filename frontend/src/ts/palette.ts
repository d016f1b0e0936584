// Ctrl+K: every page and every act of this page, by typing a part of its name.
interface Command {
  words: string;
  key: string;
  run: () => void;
}

function commands(): Command[] {
  const found = document.querySelectorAll<HTMLElement>("a[data-go], [data-command]");
  return [...found]
    .filter((element) => !element.hasAttribute("disabled"))
    .map((element) => ({
      words: element.dataset.command ?? `Go to ${element.dataset.goName ?? element.textContent?.trim() ?? ""}`,
      key: element.dataset.go ? `g ${element.dataset.go}` : (element.dataset.key ?? ""),
      run: () => element.click(),
    }));
}

export function startPalette(): void {
  const dialog = document.querySelector<HTMLDialogElement>("#palette");
  const input = dialog?.querySelector("input");
  const list = dialog?.querySelector("[data-palette-list]");
  if (!dialog || !input || !list) return;
  let shown: Command[] = [];
  let chosen = 0;

  const draw = (): void => {
    const text = input.value.trim().toLowerCase();
    shown = commands().filter((command) => text.split(/\s+/).every((word) => command.words.toLowerCase().includes(word)));
    chosen = Math.min(chosen, Math.max(0, shown.length - 1));
    list.replaceChildren(
      ...shown.map((command, index) => {
        const row = document.createElement("a");
        row.href = "#";
        row.id = `command-${index}`;
        row.setAttribute("role", "option");
        row.setAttribute("aria-selected", String(index === chosen));
        row.textContent = command.words;
        if (command.key) {
          const kbd = document.createElement("kbd");
          kbd.textContent = command.key;
          row.append(kbd);
        }
        row.addEventListener("click", (event) => {
          event.preventDefault();
          dialog.close();
          command.run();
        });
        return row;
      }),
    );
    input.setAttribute("aria-activedescendant", shown.length ? `command-${chosen}` : "");
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
  };
  const open = (): void => {
    if (dialog.open) return;
    input.value = "";
    chosen = 0;
    dialog.showModal();
    draw();
  };
  document.addEventListener("palette:open", open);
  input.addEventListener("input", () => {
    chosen = 0;
    draw();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + shown.length) % Math.max(1, shown.length);
      draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const command = shown[chosen];
      dialog.close();
      command?.run();
    }
  });
}
