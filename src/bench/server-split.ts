// What the server itself says of the time of a load, from its Prometheus metrics: where a call's time went, how large
// batches were, and what the garbage collector took.

/** Seconds or rows of one histogram between two readings. */
export interface SplitPart {
  name: string;
  count: number;
  mean: number;
  /** By upper bound, ascending; the last one is Infinity (null in JSON). Counts of that bucket alone. */
  buckets: [upTo: number | null, count: number][];
}

export interface ServerSplit {
  parts: SplitPart[];
}

/** Our names, as they stand on /metrics, and what a reader calls them. */
const HISTOGRAMS: readonly [metric: string, name: string][] = [
  ['scorewire_feature_duration_seconds', 'features'],
  ['scorewire_queue_duration_seconds', 'queue'],
  ['scorewire_inference_duration_seconds', 'inference'],
  ['rpc_server_call_duration_seconds', 'whole call'],
  ['scorewire_batch_rows', 'rows a batch'],
  ['v8js_gc_duration_seconds', 'GC pause'],
];

/** A reading: by histogram, its sum and its cumulative buckets. */
export type SplitReading = Map<string, { sum: number; count: number; cumulative: Map<number, number> }>;

const LIMIT_MS = 5_000;

/** Reads `url`; undefined where that is undefined, or nothing of ours is there. Other models' series are left out. */
export async function readServerSplit(url: string | undefined, model: string): Promise<SplitReading | undefined> {
  if (url === undefined) return undefined;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) });
    return response.ok ? parseReading(await response.text(), model) : undefined;
  } catch {
    return undefined;
  }
}

const LINE = /^([a-zA-Z_:][\w:]*?)_(bucket|sum|count)(?:\{(.*)\})? (\S+)/;

/** Reads Prometheus's text format; series of one histogram are added up. */
export function parseReading(text: string, model: string): SplitReading | undefined {
  const known = new Set(HISTOGRAMS.map(([metric]) => metric));
  const reading: SplitReading = new Map();
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match === null || !known.has(match[1] as string)) continue;
    const [, metric = '', kind, labels = '', value] = match;
    const ofModel = /(?:^|,)model="((?:[^"\\]|\\.)*)"/.exec(labels)?.[1];
    if (ofModel !== undefined && ofModel !== model) continue;
    const found = reading.get(metric) ?? { sum: 0, count: 0, cumulative: new Map<number, number>() };
    reading.set(metric, found);
    if (kind === 'sum') found.sum += Number(value);
    else if (kind === 'count') found.count += Number(value);
    else {
      const bound = /(?:^|,)le="([^"]*)"/.exec(labels)?.[1] ?? '+Inf';
      const upTo = bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound);
      found.cumulative.set(upTo, (found.cumulative.get(upTo) ?? 0) + Number(value));
    }
  }
  return reading.size === 0 ? undefined : reading;
}

/** What came between two readings. */
export function splitBetween(before: SplitReading, after: SplitReading): ServerSplit {
  const parts = HISTOGRAMS.flatMap(([metric, name]): SplitPart[] => {
    const last = after.get(metric);
    if (last === undefined) return [];
    const first = before.get(metric);
    const count = last.count - (first?.count ?? 0);
    if (count <= 0) return [];
    let below = 0;
    const buckets = [...last.cumulative.keys()]
      .sort((a, b) => a - b)
      .map((upTo): [number | null, number] => {
        const up = (last.cumulative.get(upTo) ?? 0) - (first?.cumulative.get(upTo) ?? 0);
        const own = up - below;
        below = up;
        return [Number.isFinite(upTo) ? upTo : null, own];
      });
    return [{ name, count, mean: (last.sum - (first?.sum ?? 0)) / count, buckets }];
  });
  return { parts };
}
