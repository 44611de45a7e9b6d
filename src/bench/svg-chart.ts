// Charts as SVG text.

export interface Series {
  name: string;
  points: [x: number, y: number][];
  /** Points alone, without the line between them. */
  dots?: boolean;
}

export interface Axis {
  title: string;
  from: number;
  to: number;
  log: boolean;
  ticks: [at: number, label: string][];
}

const WIDTH = 820;
const HEIGHT = 320;
const LEFT = 80;
const RIGHT = 20;
const TOP = 16;
const BOTTOM = 48;
const COLORS = ['#1f6feb', '#b3261e', '#1b6e3c', '#9a6700', '#6f42c1', '#0b7285'];

/** A logarithmic axis over `values`, with a tick at every 1, 2 and 5. */
export function logAxis(title: string, values: readonly number[], format: (value: number) => string): Axis {
  const [from, to] = [Math.min(...values) / 1.2, Math.max(...values) * 1.2];
  const ticks: [number, string][] = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    for (const digit of [1, 2, 5]) {
      const at = digit * 10 ** power;
      if (at >= from && at <= to) ticks.push([at, format(at)]);
    }
  }
  // Values close together may have no round number among them.
  if (ticks.length < 2) ticks.push([from, format(from)], [to, format(to)]);
  return { title, from, to, log: true, ticks };
}

export function lineChart(series: readonly Series[], x: Axis, y: Axis): string {
  const at = (value: number, { from, to, log }: Axis, start: number, end: number): number => {
    const place = (v: number) => (log ? Math.log(v) : v);
    const share = to === from ? 0.5 : (place(value) - place(from)) / (place(to) - place(from));
    return start + share * (end - start);
  };
  const px = (value: number) => at(value, x, LEFT, WIDTH - RIGHT).toFixed(1);
  const py = (value: number) => at(value, y, HEIGHT - BOTTOM, TOP).toFixed(1);
  const grid = [
    ...x.ticks
      .filter(([value]) => value >= x.from && value <= x.to)
      .map(
        ([value, label]) =>
          `<line x1="${px(value)}" x2="${px(value)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#e3e8ed"/>` +
          text(px(value), HEIGHT - BOTTOM + 16, label, 'middle'),
      ),
    ...y.ticks.map(
      ([value, label]) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(value)}" y2="${py(value)}" stroke="#e3e8ed"/>` +
        text(LEFT - 6, Number(py(value)) + 4, label, 'end'),
    ),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x.title, 'middle'),
  ];
  const lines = series.map(({ name, points, dots }, index) => {
    const color = COLORS[index % COLORS.length] as string;
    const marks = points.map(
      ([vx, vy]) =>
        `<circle cx="${px(vx)}" cy="${py(vy)}" r="3" fill="${color}"><title>${escapeHtml(name)}</title></circle>`,
    );
    if (dots) return marks.join('');
    const path = points.map(([vx, vy]) => `${px(vx)},${py(vy)}`).join(' ');
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>${marks.join('')}`;
  });
  const legend = series.map(({ name }, index) => {
    const left = LEFT + 10 + index * 130;
    return (
      `<rect x="${left}" y="${TOP}" width="10" height="10" fill="${COLORS[index % COLORS.length]}"/>` +
      text(left + 14, TOP + 9, name, 'start')
    );
  });
  return svg([...grid, ...lines, ...legend].join(''));
}

/** Bars under their labels, each with its number. */
export function barChart(bars: readonly (readonly [label: string, count: number])[]): string {
  const most = Math.max(1, ...bars.map(([, count]) => count));
  const slot = (WIDTH - LEFT - RIGHT) / Math.max(1, bars.length);
  return svg(
    bars
      .map(([label, count], index) => {
        const height = ((HEIGHT - TOP - BOTTOM - 16) * count) / most;
        const left = LEFT + index * slot;
        const top = HEIGHT - BOTTOM - height;
        return (
          `<rect x="${(left + 3).toFixed(1)}" y="${top.toFixed(1)}" width="${Math.max(1, slot - 6).toFixed(1)}" height="${height.toFixed(1)}" fill="${COLORS[0]}"/>` +
          text(left + slot / 2, top - 4, count.toLocaleString('en-US'), 'middle') +
          text(left + slot / 2, HEIGHT - BOTTOM + 16, label, 'middle')
        );
      })
      .join(''),
  );
}

function svg(content: string): string {
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-size="11" font-family="system-ui, sans-serif" fill="#56646f">${content}</svg>`;
}

function text(x: number | string, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escapeHtml(content)}</text>`;
}

export function escapeHtml(content: string): string {
  return content.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
