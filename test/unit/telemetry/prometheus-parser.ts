// Reads Prometheus text strictly enough to find what a scraper would refuse.

export type Sample = { name: string; labels: Record<string, string>; value: number };
export type PrometheusFamily = { type: string; help: string; samples: Sample[] };

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

export function parsePrometheus(text: string): Map<string, PrometheusFamily> {
  const families = new Map<string, PrometheusFamily>();
  const family = (name: string): PrometheusFamily => {
    const found = families.get(name) ?? { type: '', help: '', samples: [] };
    families.set(name, found);
    return found;
  };
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.split('\n')) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'TYPE') family(name).type = rest;
    else if (kind === 'HELP') family(name).help = rest;
    else if (line !== '' && !line.startsWith('#')) addSample(line, families);
  }
  return families;
}

function addSample(line: string, families: Map<string, PrometheusFamily>): void {
  const [, name = '', labelText = '', value = ''] = SAMPLE.exec(line) ?? [];
  const owner = [name, name.replace(/_(bucket|sum|count)$/, '')].find((candidate) => families.has(candidate));
  if (owner === undefined) throw new Error(`no TYPE before ${line}`);
  families
    .get(owner)
    ?.samples.push({ name, labels: labels(labelText, line), value: Number(value.replace('Inf', 'Infinity')) });
}

function labels(text: string, line: string): Record<string, string> {
  const found: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text);
    if (match === null) throw new Error(`bad labels in ${line}`);
    found[match[1] as string] = (match[2] as string).replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  return found;
}
