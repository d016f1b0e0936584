// Long time series with uPlot. The place says where its data is: <div data-island="chart" data-src="/meters/7/profile?...">.
// Answer: {x: [epoch s], series: [{label, unit, values: [number|null], decimals, flagged: [index]}], gaps: [[from, to]], marks: [{at, label}], band: [low, high]|null}
import uPlot from "uplot";
import { token } from "./theme";

interface Series {
  label: string;
  unit: string;
  values: (number | null)[];
  decimals: number;
  flagged: number[];
}
interface Answer {
  x: number[];
  period: [number, number];
  series: Series[];
  gaps: [number, number][];
  marks: { at: number; label: string }[];
  band: [number, number] | null;
  step: boolean;
}

const root = document.documentElement;
const zone = root.dataset.zone ?? "UTC";
const hour = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
const dayOnly = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });

const strokes = (): string[] => [token("ink"), token("accent"), token("normal"), token("ink-2")];
const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

// A value holds for its whole interval, also where none follows: uPlot's own steps end at the last beginning.
const steps: uPlot.Series.PathBuilder = (plot, series, from, to) => {
  const [x, values] = [plot.data[0], plot.data[series] as (number | null)[]];
  const width = (x[1] ?? 900) - (x[0] ?? 0);
  const stroke = new Path2D();
  let isDown = false;
  for (let i = from; i <= to; i++) {
    const [at, value] = [x[i], values[i]];
    if (at === undefined || value === null || value === undefined) {
      isDown = false;
      continue;
    }
    const y = plot.valToPos(value, "y", true);
    const left = plot.valToPos(at, "x", true);
    if (isDown) stroke.lineTo(left, y);
    else stroke.moveTo(left, y);
    stroke.lineTo(plot.valToPos(at + width, "x", true), y);
    isDown = true;
  }
  return { stroke, fill: null, clip: null, band: null, flags: 0 };
};

class Chart {
  private plot: uPlot | undefined;
  private answer: Answer | undefined;

  constructor(
    private readonly place: HTMLElement,
    private readonly legend: HTMLElement,
  ) {}

  async load(): Promise<void> {
    const reply = await fetch(this.place.dataset.src ?? "").catch(() => undefined);
    if (!reply?.ok) {
      this.legend.textContent = "The chart's data could not be loaded. It is tried again with the next change.";
      return;
    }
    this.answer = (await reply.json()) as Answer;
    this.draw();
  }

  draw(): void {
    const answer = this.answer;
    if (!answer) return;
    this.plot?.destroy();
    this.place.replaceChildren();
    const data = [answer.x, ...answer.series.map((one) => one.values)] as uPlot.AlignedData;
    this.plot = new uPlot(this.options(answer), data, this.place);
    this.tell(null);
  }

  resize(): void {
    this.plot?.setSize(this.size());
  }

  private size(): { width: number; height: number } {
    return { width: this.place.clientWidth, height: this.place.clientHeight };
  }

  private options(answer: Answer): uPlot.Options {
    const unit = answer.series[0]?.unit ?? "";
    const grid = { stroke: token("line-2"), width: 1 };
    const axis = { stroke: token("ink-2"), font: "12px Inter, sans-serif", grid, ticks: { show: false } };
    const days = (answer.period[1] - answer.period[0]) / 86400;
    return {
      ...this.size(),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { time: true, range: () => answer.period }, y: { range: (_plot, low, high) => this.range(answer, low, high) } },
      axes: [
        {
          ...axis,
          space: 60,
          size: 30,
          values: (_plot, splits) => splits.map((at) => this.label(at, days)),
        },
        { ...axis, size: 64, values: (_plot, splits) => splits.map((value) => `${Number(value.toFixed(3))} ${unit}`) },
      ],
      series: [
        {},
        ...answer.series.map((one, index) => ({
          label: one.label,
          stroke: strokes()[index % 4] as string,
          width: index === 2 ? 2 : 1.5,
          dash: dashes[index % 4] as number[],
          spanGaps: false,
          points: { show: false },
          ...(answer.step ? { paths: steps } : {}),
        })),
      ],
      hooks: {
        drawClear: [(plot: uPlot) => this.under(plot, answer)],
        draw: [(plot: uPlot) => this.over(plot, answer)],
        setCursor: [(plot: uPlot) => this.tell(plot.cursor.idx ?? null)],
      },
    };
  }

  private range(answer: Answer, low: number, high: number): [number, number] {
    if (answer.band) return [Math.min(low ?? Infinity, answer.band[0]) - 3, Math.max(high ?? -Infinity, answer.band[1]) + 3];
    return [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1];
  }

  private label(at: number, days: number): string {
    const date = new Date(at * 1000);
    const text = hour.format(date);
    if (days > 8) return dayOnly.format(date);
    return text === "00:00" && days > 1.1 ? dayOnly.format(date) : text;
  }

  // Band, gaps and marks lie under the lines.
  private under(plot: uPlot, answer: Answer): void {
    const { ctx } = plot;
    const { left, top, width, height } = plot.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    if (answer.band) {
      const high = plot.valToPos(answer.band[1], "y", true);
      ctx.fillStyle = token("band");
      ctx.globalAlpha = 0.5;
      ctx.fillRect(left, high, width, plot.valToPos(answer.band[0], "y", true) - high);
      ctx.globalAlpha = 1;
    }
    for (const [from, to] of answer.gaps) this.gap(plot, from, to);
    let free = -Infinity;
    for (const mark of [...answer.marks].sort((a, b) => a.at - b.at)) free = this.mark(plot, mark, free);
    ctx.restore();
  }

  private gap(plot: uPlot, from: number, to: number): void {
    const { ctx } = plot;
    const x = plot.valToPos(from, "x", true);
    const width = Math.max(2, plot.valToPos(to, "x", true) - x);
    const { top, height } = plot.bbox;
    ctx.fillStyle = token("band");
    ctx.fillRect(x, top, width, height);
    ctx.strokeStyle = token("control");
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.rect(x, top, width, height);
    ctx.save();
    ctx.clip();
    for (let at = x - height; at < x + width; at += 12) {
      ctx.moveTo(at, top + height);
      ctx.lineTo(at + height, top);
    }
    ctx.globalAlpha = 0.45;
    ctx.stroke();
    ctx.restore();
  }

  // A mark's words are left out where they would run into those before them. Returns where its own words end.
  private mark(plot: uPlot, mark: { at: number; label: string }, free: number): number {
    const { ctx } = plot;
    const { top, height, left, width } = plot.bbox;
    const x = plot.valToPos(mark.at, "x", true);
    if (x < left || x > left + width) return free;
    ctx.strokeStyle = token("ink-2");
    ctx.setLineDash([3, 3]);
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.fillStyle = token("ink-2");
    const ratio = window.devicePixelRatio;
    ctx.font = `${11 * ratio}px Inter, sans-serif`;
    const long = ctx.measureText(mark.label).width + 8 * ratio;
    const from = x + long > left + width ? x - long : x;
    if (from < free) return free;
    ctx.textAlign = "left";
    ctx.fillText(mark.label, from + 4 * ratio, top + 12 * ratio);
    return from + long;
  }

  // Values with a quality flag carry an open square.
  private over(plot: uPlot, answer: Answer): void {
    const { ctx } = plot;
    const half = 3 * window.devicePixelRatio;
    ctx.save();
    ctx.lineWidth = 1.5 * window.devicePixelRatio;
    ctx.strokeStyle = token("ink");
    ctx.fillStyle = token("card");
    for (const one of answer.series)
      for (const index of one.flagged) {
        const value = one.values[index];
        const at = answer.x[index];
        if (value == null || at == null) continue;
        const x = plot.valToPos(at, "x", true);
        const y = plot.valToPos(value, "y", true);
        ctx.beginPath();
        ctx.rect(x - half, y - half, 2 * half, 2 * half);
        ctx.fill();
        ctx.stroke();
      }
    ctx.restore();
  }

  private tell(index: number | null): void {
    const answer = this.answer;
    if (!answer) return;
    const parts: HTMLElement[] = [];
    const add = (key: string, text: string, value: string): void => {
      const span = document.createElement("span");
      if (key) {
        const mark = document.createElement("i");
        mark.className = `key ${key}`;
        span.append(mark);
      }
      span.append(text);
      if (value) {
        const strong = document.createElement("b");
        strong.textContent = ` ${value}`;
        span.append(strong);
      }
      parts.push(span);
    };
    const at = index === null ? undefined : answer.x[index];
    answer.series.forEach((one, number) => {
      const value = index === null ? undefined : one.values[index];
      const flag = index !== null && one.flagged.includes(index) ? " (flagged)" : "";
      add(`k${number}`, one.label, at === undefined ? "" : value == null ? "missing" : `${value.toFixed(one.decimals)} ${one.unit}${flag}`);
    });
    if (answer.gaps.length) add("gap", "no reading", "");
    if (answer.series.some((one) => one.flagged.length)) add("", "□ value with a quality flag", "");
    if (at !== undefined) add("", "", full.format(new Date(at * 1000)));
    this.legend.replaceChildren(...parts);
  }
}

const charts = new Map<HTMLElement, Chart>();

async function mount(place: HTMLElement): Promise<void> {
  const legend = place.parentElement?.querySelector<HTMLElement>("[data-chart-legend]");
  if (!legend) return;
  const chart = new Chart(place, legend);
  charts.set(place, chart);
  await document.fonts.ready;
  await chart.load();
  new ResizeObserver(() => chart.resize()).observe(place);
  place.dataset.done = "true";
  document.dispatchEvent(new CustomEvent("island:done"));
}

for (const place of document.querySelectorAll<HTMLElement>('[data-island="chart"]')) void mount(place);
document.addEventListener("theme:changed", () => charts.forEach((chart) => chart.draw()));

// A round over the fleet hints every second or so; a chart of quarters need not follow that fast.
const AGAIN_MS = 10_000;
const waiting = new Set<HTMLElement>();
document.addEventListener("hint", (event) => {
  const { topic } = (event as CustomEvent).detail as { topic: string };
  for (const [place, chart] of charts) {
    if (waiting.has(place) || !(place.dataset.liveTopic ?? "").split(" ").includes(topic)) continue;
    waiting.add(place);
    window.setTimeout(() => {
      waiting.delete(place);
      if (!document.hidden) void chart.load();
    }, AGAIN_MS);
  }
});
