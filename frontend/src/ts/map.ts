// Transformers and meters on one canvas, drawn by software: an off-screen picture with a margin is moved while panning
// and drawn again at rest. Points come as one binary answer (see interfaces/console/map_points.py), colours as another.
import htmx from "htmx.org";
import Flatbush from "flatbush";
import { token } from "./theme";

interface Legend {
  state: number;
  label: string;
  shape: Shape;
  count: number;
  nodes?: boolean; // transformers in this state are drawn so too
}
type Shape = "dot" | "ring" | "triangle" | "square" | "cross" | "disc" | "box" | "diamond";

const MARGIN = 200;
const TRANSFORMER = 1;

class Points {
  readonly count: number;
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly id: Uint32Array;
  readonly parent: Int32Array;
  readonly kind: Uint8Array;
  readonly index: Flatbush | undefined;
  readonly bounds: [number, number, number, number];

  constructor(buffer: ArrayBuffer) {
    const n = new Uint32Array(buffer, 0, 2)[1] ?? 0;
    this.count = n;
    this.x = new Float32Array(buffer, 8, n);
    this.y = new Float32Array(buffer, 8 + 4 * n, n);
    this.id = new Uint32Array(buffer, 8 + 8 * n, n);
    this.parent = new Int32Array(buffer, 8 + 12 * n, n);
    this.kind = new Uint8Array(buffer, 8 + 16 * n, n);
    let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
    if (n > 0) this.index = new Flatbush(n);
    for (let i = 0; i < n; i++) {
      const x = this.x[i] as number;
      const y = this.y[i] as number;
      west = Math.min(west, x);
      east = Math.max(east, x);
      south = Math.min(south, y);
      north = Math.max(north, y);
      this.index?.add(x, y, x, y);
    }
    this.index?.finish();
    this.bounds = [west, south, east, north];
  }
}

class MapIsland {
  private readonly screen: CanvasRenderingContext2D;
  private readonly picture = document.createElement("canvas");
  private points: Points | undefined;
  private states = new Uint8Array(0);
  private legend: Legend[] = [];
  private scale = 1;
  private cx = 0;
  private cy = 0;
  private drawnAt = { cx: 0, cy: 0, scale: 0 };
  private chosen = -1;
  private ratio = window.devicePixelRatio || 1;
  private fitted = false;
  private redraw = 0;

  constructor(
    private readonly place: HTMLElement,
    private readonly canvas: HTMLCanvasElement,
  ) {
    this.screen = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  async start(): Promise<void> {
    this.listen();
    const answer = await fetch(this.place.dataset.points ?? "").catch(() => undefined);
    if (!answer?.ok) return this.note("The map's points could not be loaded.");
    this.points = new Points(await answer.arrayBuffer());
    await this.colours();
    this.note(this.points.count ? "" : "Nothing on the map yet: import an inventory with coordinates.");
    new ResizeObserver(() => this.resize()).observe(this.place);
    this.resize();
  }

  async colours(): Promise<void> {
    const by = document.querySelector<HTMLSelectElement>("[data-map-by]")?.value ?? this.place.dataset.by ?? "read";
    const answer = await fetch(`${this.place.dataset.states}?by=${encodeURIComponent(by)}`).catch(() => undefined);
    if (!answer?.ok) return;
    this.legend = JSON.parse(answer.headers.get("X-Legend") ?? "[]") as Legend[];
    this.states = new Uint8Array(await answer.arrayBuffer());
    this.drawLegend();
    this.render();
  }

  private note(text: string): void {
    const place = this.place.querySelector<HTMLElement>(".map-note");
    if (place) {
      place.textContent = text;
      place.hidden = text === "";
    }
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (width === 0 || height === 0) return;
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * this.ratio;
    this.canvas.height = height * this.ratio;
    this.picture.width = (width + 2 * MARGIN) * this.ratio;
    this.picture.height = (height + 2 * MARGIN) * this.ratio;
    if (!this.fitted) this.fit();
    this.render();
  }

  private fit(): void {
    if (!this.points?.count) return;
    const [west, south, east, north] = this.points.bounds;
    this.cx = (west + east) / 2;
    this.cy = (south + north) / 2;
    const room = Math.min((this.place.clientWidth - 60) / Math.max(1, east - west), (this.place.clientHeight - 90) / Math.max(1, north - south));
    this.scale = Math.min(room, 2);
    this.fitted = true;
    const wanted = Number(this.place.dataset.choose ?? 0);
    if (wanted) {
      const index = this.points.id.indexOf(wanted);
      this.choose(index, true);
      if (index >= 0) this.tell(index);
    }
  }

  private choose(index: number, centre = false): void {
    this.chosen = index;
    if (index >= 0 && centre && this.points) {
      this.cx = this.points.x[index] as number;
      this.cy = this.points.y[index] as number;
      this.scale = Math.max(this.scale, 1);
    }
  }

  private toScreen(index: number, width: number, height: number): [number, number] {
    const points = this.points as Points;
    return [((points.x[index] as number) - this.cx) * this.scale + width / 2, (this.cy - (points.y[index] as number)) * this.scale + height / 2];
  }

  // The whole picture with its margin. Meters are drawn by state so that each state is one path.
  private render(): void {
    const points = this.points;
    if (!points?.count || !this.canvas.width) return;
    const context = this.picture.getContext("2d") as CanvasRenderingContext2D;
    const width = this.picture.width / this.ratio;
    const height = this.picture.height / this.ratio;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const seen = this.visible(points, width, height);
    this.drawLines(context, points, seen, width, height);
    const byState = new Map<number, number[]>();
    for (const index of seen) {
      if (points.kind[index] === TRANSFORMER) continue;
      const state = this.states[index] ?? 0;
      const list = byState.get(state);
      if (list) list.push(index);
      else byState.set(state, [index]);
    }
    const size = Math.max(1.5, Math.min(5, this.scale * 6));
    const order = this.legend.length ? [...this.legend] : [{ state: 0, label: "", shape: "dot" as Shape, count: 0 }];
    for (const entry of order) this.drawState(context, byState.get(entry.state) ?? [], entry.shape, size, width, height);
    this.drawTransformers(context, points, seen, width, height);
    this.drawnAt = { cx: this.cx, cy: this.cy, scale: this.scale };
    this.blit();
  }

  private visible(points: Points, width: number, height: number): number[] {
    const halfX = width / 2 / this.scale;
    const halfY = height / 2 / this.scale;
    return points.index?.search(this.cx - halfX, this.cy - halfY, this.cx + halfX, this.cy + halfY) ?? [];
  }

  private drawLines(context: CanvasRenderingContext2D, points: Points, seen: number[], width: number, height: number): void {
    if (this.scale < 0.02) return;
    context.beginPath();
    for (const index of seen) {
      const parent = points.parent[index] as number;
      if (parent < 0) continue;
      const [x, y] = this.toScreen(index, width, height);
      const [px, py] = this.toScreen(parent, width, height);
      context.moveTo(px, py);
      context.lineTo(x, y);
    }
    context.strokeStyle = token("control");
    context.globalAlpha = 0.35;
    context.lineWidth = 1;
    context.stroke();
    context.globalAlpha = 1;
  }

  private drawState(context: CanvasRenderingContext2D, list: number[], shape: Shape, size: number, width: number, height: number): void {
    if (list.length === 0) return;
    context.beginPath();
    const grown = shape === "dot" ? size : size + 1.5;
    for (const index of list) {
      const [x, y] = this.toScreen(index, width, height);
      addShape(context, shape, x, y, grown);
    }
    paint(context, shape);
  }

  // Quiet ones first, then those in a state that the legend tells of nodes, so that these lie on top.
  private drawTransformers(context: CanvasRenderingContext2D, points: Points, seen: number[], width: number, height: number): void {
    const size = Math.max(2.5, Math.min(7, this.scale * 14));
    const told = new Map(this.legend.filter((entry) => entry.nodes).map((entry) => [entry.state, entry]));
    const groups = new Map<Legend | undefined, number[]>([[undefined, []]]);
    for (const index of seen) {
      if (points.kind[index] !== TRANSFORMER) continue;
      const entry = told.get(this.states[index] ?? 0);
      const list = groups.get(entry);
      if (list) list.push(index);
      else groups.set(entry, [index]);
    }
    for (const [entry, list] of groups) {
      const grown = entry ? size + 2 : size;
      context.beginPath();
      for (const index of list) {
        const [x, y] = this.toScreen(index, width, height);
        context.rect(x - grown, y - grown, 2 * grown, 2 * grown);
      }
      context.fillStyle = token(entry?.shape === "triangle" ? "p2" : "card");
      context.strokeStyle = token(entry?.shape === "triangle" ? "p2-outline" : "ink");
      context.lineWidth = entry ? 2 : 1.5;
      context.setLineDash(entry && entry.shape !== "triangle" ? [3, 2] : []);
      context.fill();
      context.stroke();
    }
    context.setLineDash([]);
  }

  private blit(): void {
    const context = this.screen;
    const drawn = this.drawnAt;
    const zoom = this.scale / (drawn.scale || this.scale);
    const width = this.place.clientWidth;
    const height = this.place.clientHeight;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const w = (this.picture.width / this.ratio) * zoom;
    const h = (this.picture.height / this.ratio) * zoom;
    const x = width / 2 + (drawn.cx - this.cx) * this.scale - w / 2;
    const y = height / 2 - (drawn.cy - this.cy) * this.scale - h / 2;
    context.drawImage(this.picture, x, y, w, h);
    if (this.chosen >= 0) {
      const [cx, cy] = this.toScreen(this.chosen, width, height);
      context.beginPath();
      context.arc(cx, cy, 11, 0, 7);
      context.strokeStyle = token("focus");
      context.lineWidth = 2.5;
      context.stroke();
    }
  }

  // While something moves only the picture moves; it is drawn anew shortly after.
  private moved(): void {
    this.blit();
    clearTimeout(this.redraw);
    this.redraw = window.setTimeout(() => this.render(), 60);
  }

  private zoom(factor: number, x = this.place.clientWidth / 2, y = this.place.clientHeight / 2): void {
    const dx = x - this.place.clientWidth / 2;
    const dy = y - this.place.clientHeight / 2;
    const next = Math.max(0.002, Math.min(20, this.scale * factor));
    this.cx += dx / this.scale - dx / next;
    this.cy -= dy / this.scale - dy / next;
    this.scale = next;
    this.moved();
  }

  private nearest(event: PointerEvent): number {
    if (!this.points?.index) return -1;
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left - box.width / 2) / this.scale + this.cx;
    const y = this.cy - (event.clientY - box.top - box.height / 2) / this.scale;
    return this.points.index.neighbors(x, y, 1, 12 / this.scale)[0] ?? -1;
  }

  private open(index: number): void {
    if (index < 0 || !this.points) return;
    this.choose(index);
    this.blit();
    if (!this.tell(index)) location.assign(this.address(index));
  }

  private address(index: number): string {
    return `${this.place.dataset.item}${this.points?.id[index]}`;
  }

  // Into the panel beside the map, where there is one.
  private tell(index: number): boolean {
    const target = this.place.dataset.panel;
    if (!target) return false;
    void htmx.ajax("GET", `${this.address(index)}?part=panel`, { target, swap: "innerHTML" });
    return true;
  }

  private listen(): void {
    let from: { x: number; y: number; far: boolean } | undefined;
    this.canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, far: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const dx = event.clientX - from.x;
      const dy = event.clientY - from.y;
      if (!from.far && Math.hypot(dx, dy) < 4) return;
      from = { x: event.clientX, y: event.clientY, far: true };
      this.cx -= dx / this.scale;
      this.cy += dy / this.scale;
      this.moved();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (from && !from.far) this.open(this.nearest(event));
      from = undefined;
    });
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const box = this.canvas.getBoundingClientRect();
        this.zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - box.left, event.clientY - box.top);
      },
      { passive: false },
    );
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.place.addEventListener("click", (event) => {
      const act = (event.target as HTMLElement).closest<HTMLElement>("[data-map-act]")?.dataset.mapAct;
      if (act === "in") this.zoom(1.5);
      if (act === "out") this.zoom(1 / 1.5);
      if (act === "fit") {
        this.fitted = false;
        this.place.dataset.choose = "";
        this.fit();
        this.render();
      }
    });
    document.querySelector("[data-map-by]")?.addEventListener("change", () => void this.colours());
    document.addEventListener("theme:changed", () => {
      this.drawLegend();
      this.render();
    });
    let waiting = 0;
    document.addEventListener("hint", (event) => {
      const topics = (this.place.dataset.topics ?? "sessions").split(" ");
      if (waiting || !topics.includes((event as CustomEvent).detail.topic)) return;
      waiting = window.setTimeout(() => {
        waiting = 0;
        void this.colours();
      }, 5000);
    });
  }

  private key(event: KeyboardEvent): void {
    const step = 60 / this.scale;
    const acts: Record<string, () => void> = {
      ArrowLeft: () => (this.cx -= step),
      ArrowRight: () => (this.cx += step),
      ArrowUp: () => (this.cy += step),
      ArrowDown: () => (this.cy -= step),
    };
    if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "Enter" && this.points?.index) this.open(this.points.index.neighbors(this.cx, this.cy, 1)[0] ?? -1);
    else if (acts[event.key]) {
      acts[event.key]?.();
      this.moved();
    } else return;
    event.preventDefault();
  }

  private drawLegend(): void {
    const place = this.place.querySelector(".map-legend");
    if (!place) return;
    const number = (value: number): string => new Intl.NumberFormat("en").format(value).replaceAll(",", "\u202f");
    place.replaceChildren(
      ...this.legend.map((entry) => {
        const row = document.createElement("span");
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 28;
        canvas.setAttribute("aria-hidden", "true");
        canvas.className = "legend-mark";
        const context = canvas.getContext("2d") as CanvasRenderingContext2D;
        context.scale(2, 2);
        context.beginPath();
        addShape(context, entry.shape, 7, 7, 4.5);
        paint(context, entry.shape);
        row.append(canvas, `${entry.label} ${number(entry.count)}`);
        return row;
      }),
    );
  }
}

function addShape(context: CanvasRenderingContext2D, shape: Shape, x: number, y: number, r: number): void {
  if (shape === "ring" || shape === "disc") {
    context.moveTo(x + r, y);
    context.arc(x, y, r, 0, 7);
  } else if (shape === "triangle") {
    context.moveTo(x, y - r * 1.2);
    context.lineTo(x + r * 1.1, y + r * 0.8);
    context.lineTo(x - r * 1.1, y + r * 0.8);
    context.closePath();
  } else if (shape === "cross") {
    context.moveTo(x - r, y - r);
    context.lineTo(x + r, y + r);
    context.moveTo(x + r, y - r);
    context.lineTo(x - r, y + r);
  } else if (shape === "diamond") {
    context.moveTo(x, y - r);
    context.lineTo(x + r, y);
    context.lineTo(x, y + r);
    context.lineTo(x - r, y);
    context.closePath();
  } else {
    const half = shape === "dot" ? r * 0.7 : r * 0.85;
    context.rect(x - half, y - half, 2 * half, 2 * half);
  }
}

function paint(context: CanvasRenderingContext2D, shape: Shape): void {
  const fills: Partial<Record<Shape, string>> = { dot: "normal", triangle: "p2", disc: "p3", square: "ink-2", diamond: "accent" };
  const fill = fills[shape];
  context.lineWidth = shape === "cross" ? 2 : 1.5;
  if (fill) {
    context.fillStyle = token(fill);
    context.fill();
    if (shape === "triangle") {
      context.strokeStyle = token("p2-outline");
      context.stroke();
    }
    return;
  }
  context.strokeStyle = token(shape === "box" ? "normal" : "ink");
  context.stroke();
}

async function mount(place: HTMLElement): Promise<void> {
  const canvas = place.querySelector("canvas");
  if (!canvas) return;
  await new MapIsland(place, canvas).start();
  place.dataset.done = "true";
  document.dispatchEvent(new CustomEvent("island:done"));
}

for (const place of document.querySelectorAll<HTMLElement>('[data-island="map"]')) void mount(place);
