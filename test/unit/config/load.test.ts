import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadSettings, type SettingSources } from '../../../src/config/load.ts';
import { settingEntries } from '../../../src/config/settings.ts';
import { SetupError } from '../../../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'scorewire-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function yaml(text: string): string {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

function load(sources: Partial<SettingSources>) {
  return loadSettings({ env: {}, flags: {}, ...sources });
}

/** The lines of the error, with the file's own name for its path. */
function problems(sources: Partial<SettingSources>): string[] {
  try {
    load(sources);
  } catch (error) {
    expect(error).toBeInstanceOf(SetupError);
    return (error as SetupError).message.replaceAll(sources.file ?? '\0', 'FILE').split('\n');
  }
  return [];
}

describe('where a value comes from', () => {
  it('is the default when nobody says otherwise', () => {
    const { settings, origins } = load({});
    expect(settings.server).toEqual({ host: '127.0.0.1', port: 8001, httpHost: undefined, httpPort: 8002 });
    expect(settings.workers.count).toBe('auto');
    expect(settings.batching.latencyBudgetMs).toBeUndefined();
    expect([...origins.keys()]).toEqual([...settingEntries.keys()]);
    expect(new Set(origins.values())).toEqual(new Set(['default']));
  });

  it('is the last of default, file, environment, flags', () => {
    const file = yaml('server: {host: file, port: 1, http_port: 11}\nmodels.dir: in-file\n');
    const env = { SCOREWIRE_SERVER_PORT: '2', SCOREWIRE_SERVER_HTTP_PORT: '22' };
    const { settings, origins } = load({ file, env, flags: { httpPort: '33', models: undefined } });
    expect(settings.server).toMatchObject({ host: 'file', port: 2, httpPort: 33 });
    expect(settings.models.dir).toBe('in-file');
    expect(origins.get('server.host')).toBe(`file ${file}`);
    expect(origins.get('server.port')).toBe('environment SCOREWIRE_SERVER_PORT');
    expect(origins.get('server.http_port')).toBe('flag --http-port');
    expect(origins.get('log.level')).toBe('default');
  });

  it('may be a file that the environment names, unless a flag names another', () => {
    const env = { SCOREWIRE_CONFIG: yaml('server.port: 1') };
    expect(load({ env }).settings.server.port).toBe(1);
    expect(load({ env, file: yaml('server.port: 2') }).settings.server.port).toBe(2);
  });

  it('may be --set, for any setting', () => {
    const { settings, origins } = load({ flags: { set: ['limits.max_in_flight=10', 'models.dir=/a=b'] } });
    expect(settings.limits.maxInFlight).toBe(10);
    expect(settings.models.dir).toBe('/a=b');
    expect(origins.get('models.dir')).toBe('flag --set');
  });

  it('reaches every setting by its derived name in the environment', () => {
    const values: Record<string, string> = {
      host: 'h',
      http_host: 'h',
      port: '7',
      http_port: '8',
      cert: 'c',
      key: 'k',
      client_ca: 'a',
      dir: 'd',
      count: '3',
      max_message_bytes: '2048',
      max_batch_message_bytes: '2048',
      max_batch_bytes: '4096',
      latency_budget_ms: '2.5',
      level: 'warn',
      format: 'json',
      trace_ratio: '0.25',
      trace_endpoint: 'https://collector/v1/traces',
      max_rows: '8',
      max_delay_ms: '0.5',
      kind: 'tiered',
      max_bytes: '2097152',
      write_back: 'off',
      strict_readiness: 'off',
      client_shared_memory: 'on',
      max_infer_message_bytes: '4096',
      control: 'explicit',
      url: 'redis://cache:6379',
      prefix: 'p',
    };
    const env = Object.fromEntries(
      [...settingEntries.values()].map(({ key, environment }) => [
        environment,
        values[key.split('.')[1] as string] ?? '9',
      ]),
    );
    const { settings, origins } = load({ env });
    expect([...origins.values()].every((origin) => origin.startsWith('environment SCOREWIRE_'))).toBe(true);
    expect(settings.tls).toEqual({ cert: 'c', key: 'k', clientCa: 'a' });
    expect(settings.batching).toEqual({ maxRows: 8, maxDelayMs: 0.5, latencyBudgetMs: 2.5 });
    expect(settings.telemetry).toEqual({ traceRatio: 0.25, traceEndpoint: 'https://collector/v1/traces' });
    expect(settings.warmUp.budgetMs).toBe(9);
  });

  it('leaves flags that are no settings to the caller', () => {
    expect(problems({ flags: { config: 'x', printConfig: true } })).toEqual([]);
  });
});

describe('text', () => {
  it('stands for a number or a word, as the setting has it', () => {
    const env = { SCOREWIRE_WORKERS_COUNT: ' 4 ', SCOREWIRE_SERVER_HTTP_PORT: 'off', SCOREWIRE_MODELS_DIR: '2024' };
    const { settings } = load({ env });
    expect(settings.workers.count).toBe(4);
    expect(settings.server.httpPort).toBe('off');
    expect(settings.models.dir).toBe('2024');
  });

  it('counts as not set when empty, in the environment', () => {
    expect(load({ env: { SCOREWIRE_TLS_CERT: '' } }).settings.tls.cert).toBeUndefined();
  });
});

describe('a file', () => {
  it('may be empty, have empty groups and empty optional settings', () => {
    expect(problems({ file: yaml('') })).toEqual([]);
    expect(problems({ file: yaml('tls:\nserver:\n  http_host:\n') })).toEqual([]);
  });

  it('keeps off a word, as YAML 1.2 has it', () => {
    expect(load({ file: yaml('server: {http_port: off}') }).settings.server.httpPort).toBe('off');
  });

  it.each([
    ['server: [1', "file FILE: can't be read: Flow sequence in block collection must be sufficiently indented"],
    ['server: {port: 1}\nserver: {port: 2}', "file FILE: can't be read: Map keys must be unique at line 2, column 1"],
    ['- 1', 'file FILE: found [1]; allowed is a map of settings'],
    ['server: 8001', 'file FILE: server: found 8001; allowed is a map of settings'],
    ['server:\n  prot: 1', 'file FILE: there is no setting server.prot; did you mean server.port?'],
    ['sever: {port: 1}', 'file FILE: there is no setting sever.port; did you mean server.port?'],
    ['server: {httpPort: 1}', 'file FILE: there is no setting server.httpPort; did you mean server.http_port?'],
    ['max_in_flight: 1', 'file FILE: there is no setting max_in_flight; did you mean limits.max_in_flight?'],
    ['__proto__: {port: 1}', 'file FILE: there is no setting __proto__.port; did you mean server.http_port?'],
    ['server: {port: 1}\nserver.port: 2', 'server.port: given twice, in file FILE and in file FILE'],
    ['server.port: "8001"', 'server.port: found "8001" in file FILE; allowed is a whole number from 0 to 65535'],
    ['server.port: 80.5', 'server.port: found 80.5 in file FILE; allowed is a whole number from 0 to 65535'],
    ['server.port:', 'server.port: found nothing in file FILE; allowed is a whole number from 0 to 65535'],
    ['server.port: {a: 1}', 'server.port: found {"a":1} in file FILE; allowed is a whole number from 0 to 65535'],
    ['server.port: .nan', 'server.port: found NaN in file FILE; allowed is a whole number from 0 to 65535'],
    ['models.dir: 2024', 'models.dir: found 2024 in file FILE; allowed is a path'],
    [
      'workers.count: many',
      'workers.count: found "many" in file FILE; allowed is auto or a whole number from 1 to 256',
    ],
  ])('%j is refused', (text, problem) => {
    const [first, ...rest] = problems({ file: yaml(text) });
    expect(first).toContain(problem);
    expect(rest).toEqual([]);
  });

  it('that is missing is named', () => {
    expect(problems({ file: '/no/such.yaml' })).toEqual([
      "file FILE: can't be read: ENOENT: no such file or directory, open 'FILE'",
    ]);
  });
});

describe('the environment', () => {
  it('refuses unknown SCOREWIRE_ variables and leaves the others alone', () => {
    expect(problems({ env: { SCOREWIRE_SERVER_PROT: '1', SCOREWIRE_PORT: '1', PORT: 'x' } })).toEqual([
      'environment: there is no setting SCOREWIRE_SERVER_PROT; did you mean SCOREWIRE_SERVER_PORT?',
      'environment: there is no setting SCOREWIRE_PORT; did you mean SCOREWIRE_SERVER_PORT?',
    ]);
  });

  it('passes over what Kubernetes sets for a service named scorewire or scorewire-server', () => {
    const env = {
      SCOREWIRE_SERVICE_HOST: '10.0.0.1',
      SCOREWIRE_SERVICE_PORT: '8001',
      SCOREWIRE_SERVICE_PORT_GRPC: '8001',
      SCOREWIRE_PORT: 'tcp://10.0.0.1:8001',
      SCOREWIRE_PORT_8001_TCP: 'tcp://10.0.0.1:8001',
      SCOREWIRE_PORT_8001_TCP_PROTO: 'tcp',
      SCOREWIRE_PORT_8001_TCP_PORT: '8001',
      SCOREWIRE_PORT_8001_TCP_ADDR: '10.0.0.1',
      SCOREWIRE_SERVER_PORT: 'tcp://10.0.0.1:8001',
      SCOREWIRE_SERVER_SERVICE_HOST: '10.0.0.1',
    };
    expect(load({ env }).settings.server.port).toBe(8001);
  });

  it('is told with the variable of a wrong value', () => {
    expect(problems({ env: { SCOREWIRE_LOG_LEVEL: 'loud', SCOREWIRE_TELEMETRY_TRACE_RATIO: '1.5' } })).toEqual([
      'log.level: found "loud" in environment SCOREWIRE_LOG_LEVEL; allowed is trace, debug, info, warn, error, fatal, silent',
      'telemetry.trace_ratio: found "1.5" in environment SCOREWIRE_TELEMETRY_TRACE_RATIO; allowed is a number from 0 to 1',
    ]);
    expect(problems({ env: { SCOREWIRE_TELEMETRY_TRACE_ENDPOINT: 'localhost:4318' } })).toEqual([
      'telemetry.trace_endpoint: found "localhost:4318" in environment SCOREWIRE_TELEMETRY_TRACE_ENDPOINT; ' +
        'allowed is a URL that starts with http:// or https://',
    ]);
  });
});

describe('flags', () => {
  it.each([
    [{ port: '65536' }, 'server.port: found "65536" in flag --port; allowed is a whole number from 0 to 65535'],
    [{ host: 'http://x' }, 'server.host: found "http://x" in flag --host; allowed is a host name or an IP address'],
    [{ models: ' ' }, 'models.dir: found " " in flag --models; allowed is a path'],
    [{ set: ['server.prot=1'] }, 'flag --set: there is no setting server.prot; did you mean server.port?'],
    [{ set: ['server.port'] }, 'flag --set server.port: found no value; allowed is server.port=VALUE'],
    [{ port: '1', set: ['server.port=2'] }, 'server.port: given twice, in flag --port and in flag --set'],
  ])('%j are refused', (flags, problem) => {
    expect(problems({ flags })).toEqual([problem]);
  });
});

describe('checking', () => {
  it('tells all mistakes of all sources at once, even of values that a later source overrides', () => {
    const found = problems({
      file: yaml('server.port: x\nlog.levle: info'),
      env: { SCOREWIRE_SERVER_PORT: '1', SCOREWIRE_LOG_FORMAT: 'xml' },
      flags: { workers: '0' },
    });
    expect(found).toHaveLength(4);
    expect(found.map((line) => line.split(':')[0])).toEqual([
      'file FILE',
      'server.port',
      'log.format',
      'workers.count',
    ]);
  });

  it('cuts what is long and keeps to one line', () => {
    const [line] = problems({ flags: { port: 'x\n'.repeat(500) } });
    expect(line?.length).toBeLessThan(200);
  });

  it.each([
    [['tls.cert=c'], 'tls.cert = "c" (flag --set) needs tls.key, which is not set'],
    [['tls.key=k'], 'tls.key = "k" (flag --set) needs tls.cert, which is not set'],
    [['tls.client_ca=a'], 'tls.client_ca = "a" (flag --set) needs tls.cert and tls.key, which are not set'],
    [
      ['limits.max_queue_rows=63'],
      'limits.max_queue_rows = 63 (flag --set) is less than batching.max_rows = 64 (default): a full batch could never be queued',
    ],
    [
      ['batching.max_delay_ms=5', 'batching.latency_budget_ms=5'],
      'batching.max_delay_ms = 5 (flag --set) is not less than batching.latency_budget_ms = 5 (flag --set): waiting would use it up',
    ],
    [
      ['server.http_port=8001'],
      'server.port = 8001 (default) and server.http_port = 8001 (flag --set) are the same port',
    ],
  ])('refuses the contradiction in %j', (set, problem) => {
    expect(problems({ flags: { set } })).toEqual([problem]);
  });

  it('accepts the same port on two hosts, and any free port twice', () => {
    expect(problems({ flags: { set: ['server.http_port=8001', 'server.http_host=127.0.0.2'] } })).toEqual([]);
    expect(problems({ flags: { port: '0', httpPort: '0' } })).toEqual([]);
  });
});

it('the result is frozen, all of it', () => {
  const { settings } = load({});
  expect(() => Object.assign(settings, { server: {} })).toThrow(TypeError);
  expect(() => Object.assign(settings.server, { port: 1 })).toThrow(TypeError);
});
