import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../../src/telemetry/log.ts';

function capture(isTTY = false) {
  const written: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      done();
    },
  });
  return {
    stream: Object.assign(stream, { isTTY }),
    raw: () => written.join(''),
    text: () => stripVTControlCharacters(written.join('')),
  };
}

describe('JSON lines', () => {
  it('have level, time and message by name, and what was given', () => {
    const { stream, text } = capture();
    createLogger({ level: 'info', format: 'auto' }, stream).info({ model: 'churn', version: 3 }, 'model ready');
    const line = JSON.parse(text());
    expect(line).toEqual({ level: 'info', time: expect.any(String), model: 'churn', version: 3, msg: 'model ready' });
    expect(Date.now() - Date.parse(line.time)).toBeLessThan(60_000);
  });

  it('have errors with their stack', () => {
    const { stream, text } = capture();
    createLogger({ level: 'info', format: 'json' }, stream).error({ err: new Error('boom') }, 'failed');
    expect(JSON.parse(text()).err).toMatchObject({
      type: 'Error',
      message: 'boom',
      stack: expect.stringContaining('log.test'),
    });
  });
});

describe('pretty lines', () => {
  it('are short, and written before the call returns', () => {
    const { stream, text } = capture(true);
    const log = createLogger({ level: 'debug', format: 'auto' }, stream);
    log.child({ worker: 1 }).debug({ name: 'a/b-1.onnx', why: 'two words', sizes: [1, 2] }, 'model ready');
    expect(text()).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} DEBUG model ready worker=1 name=a\/b-1\.onnx why="two words" sizes=\[1,2\]\n$/,
    );
  });

  it('show the stack below, and nothing that could drive the terminal', () => {
    const { stream, text } = capture();
    createLogger({ level: 'info', format: 'pretty' }, stream).warn({ err: new Error('boom'), name: '\x1b[2J' }, 'odd');
    expect(text()).toMatch(/ WARN {2}odd name="\\u001b\[2J"\n {4}Error: boom\n {8}at [^\0]*[^\n]\n$/);
  });

  it('have colours only on a terminal', () => {
    vi.stubEnv('FORCE_COLOR', undefined);
    vi.stubEnv('NO_COLOR', undefined);
    for (const isTTY of [true, false]) {
      const { stream, raw } = capture(isTTY);
      createLogger({ level: 'info', format: 'pretty' }, stream).info('plain');
      expect(raw().includes('\x1b[')).toBe(isTTY);
    }
    vi.unstubAllEnvs();
  });
});

it.each([
  ['warn', ['WARN', 'ERROR']],
  ['silent', []],
] as const)('the level %s leaves the lesser lines out', (level, expected) => {
  const { stream, text } = capture();
  const log = createLogger({ level, format: 'pretty' }, stream);
  log.info('a');
  log.warn('b');
  log.error('c');
  expect(text().match(/[A-Z]{4,}/g) ?? []).toEqual(expected);
});
