// The status page: one look for the person on call, in HTML that needs nothing else and reloads itself.

export type ModelStatus = {
  name: string;
  version: string;
  /** Answers the calls that name no version. */
  live: boolean;
  /** `READY`, `LOADING`, `FAILED` and such. */
  state: string;
  /** Why it is in this state, if there is something to say. */
  reason?: string;
  queuedRows: number;
  /** Calls a second, lately. */
  callsPerSecond: number;
  /** Milliseconds, lately; absent without calls. */
  p50Ms?: number;
  p99Ms?: number;
};

export type WorkerStatus = { id: number; state: string };

export type StatusSnapshot = {
  /** Of the server. */
  version: string;
  uptimeSeconds: number;
  /** `SERVING`, `NOT_SERVING`, `DRAINING`. */
  state: string;
  /** Where gRPC listens: `127.0.0.1:8001`. */
  grpcAddress: string;
  inFlightCalls: number;
  models: readonly ModelStatus[];
  workers: readonly WorkerStatus[];
  /** One line each. */
  problems: readonly string[];
};

const RELOAD_SECONDS = 5;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: #2a8a3e; } .bad { color: #d0342c; font-weight: 600; }
`;

/** The whole page; every text is escaped. */
export function statusPage(status: StatusSnapshot): string {
  const { state, version, uptimeSeconds, grpcAddress, inFlightCalls, models, workers, problems } = status;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${RELOAD_SECONDS}">
<title>Scorewire: ${escapeHtml(state)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Scorewire ${escapeHtml(version)} is ${stateText(state)}</h1>
<p>gRPC on ${escapeHtml(grpcAddress)}, up for ${duration(uptimeSeconds)}, ${inFlightCalls} calls under way.
<a href="/metrics">Metrics</a>, <a href="/readyz">readiness</a>.</p>
${problems.map((problem) => `<p class="bad">${escapeHtml(problem)}</p>\n`).join('')}<h2>Models</h2>
${table(
  ['model', 'version', 'live', 'state', '#queued rows', '#calls/s', '#p50 ms', '#p99 ms'],
  models.map((model) => [
    escapeHtml(model.name),
    escapeHtml(model.version),
    model.live ? 'live' : '',
    stateText(model.state) + (model.reason === undefined ? '' : `<br>${escapeHtml(model.reason)}`),
    String(model.queuedRows),
    model.callsPerSecond.toFixed(1),
    milliseconds(model.p50Ms),
    milliseconds(model.p99Ms),
  ]),
  'No model is loaded.',
)}
<h2>Workers</h2>
${table(
  ['worker', 'state'],
  workers.map(({ id, state }) => [String(id), stateText(state)]),
  'There is no worker.',
)}
</body>
</html>
`;
}

const GOOD = /^(SERVING|READY|IDLE|BUSY)$/i;

function stateText(state: string): string {
  return `<span class="${GOOD.test(state) ? 'good' : 'bad'}">${escapeHtml(state)}</span>`;
}

/** Heads that start with # stand over numbers. */
function table(heads: readonly string[], rows: readonly (readonly string[])[], none: string): string {
  if (rows.length === 0) return `<p>${none}</p>`;
  const kind = (column: number): string => (heads[column]?.startsWith('#') ? ' class="number"' : '');
  const head = heads.map((text, column) => `<th${kind(column)}>${text.replace('#', '')}</th>`).join('');
  const body = rows.map(
    (cells) => `<tr>${cells.map((cell, column) => `<td${kind(column)}>${cell}</td>`).join('')}</tr>`,
  );
  return `<table><thead><tr>${head}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table>`;
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? '' : String(Number(value.toPrecision(3)));
}

/** The two largest units: `3 d 4 h`. */
function duration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [Math.floor(seconds) % 60, 's'],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return '0 s';
  return parts
    .slice(first, first + 2)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}
