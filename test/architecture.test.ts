// The rules of the house, read off the imports: they point down only, rooms beside each other don't know each other, and
// nothing lies around that nobody uses.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** From the top down; rooms on one floor don't know each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['main'],
  ['cli'],
  ['server'],
  ['engine'],
  ['inference', 'tensorflow'],
  ['grpc', 'http'],
  ['jobs'],
  ['scoring'],
  ['scores', 'features', 'batching'],
  ['redis', 'duckdb'],
  ['workers'],
  ['models'],
  ['telemetry'],
  ['config'],
  ['tensor', 'errors', 'version', 'thread-priority', 'http2'],
];

/** Rooms outside the house: what they may import of ours, beside themselves. */
const OUTSIDE: Readonly<Record<string, readonly string[]>> = {
  gen: [],
  client: ['gen'],
  bench: ['gen', 'http2'],
};

/** Whoever else speaks the wire's language. */
const MAY_IMPORT_GEN = ['grpc', 'inference', 'tensorflow', 'client', 'bench', 'cli', 'gen'];

/** The command line is a client as well. */
const MAY_IMPORT_CLIENT = ['cli', 'main'];

const MAX_LINES = 420;

type Source = {
  /** From the root of the repository, as `src/models/digest.ts`. */
  path: string;
  room: string;
  text: string;
  /** Paths of files of ours. */
  imports: string[];
  /** Those among them that are loaded only when they are needed. */
  lazy: string[];
  /** Names of packages and of Node's own modules. */
  packages: string[];
};

const sources = new Map(filesUnder('src').map((path) => [path, readSource(path)]));
const outsiders = ['bench', 'tools'].flatMap(filesUnder).map(readSource);
const written = [...sources.values()].filter(({ room }) => room !== 'gen');

function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .sort();
}

function readSource(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const code = text.replace(/^\s*\/\/.*$/gm, '').replace(/\/\*[\s\S]*?\*\//g, '');
  const specifiers = [
    ...code.matchAll(/^(?:import|export)\s(?:[^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]/gm),
    ...code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g),
    ...code.matchAll(/['"](\.{1,2}\/[^'"]+\.ts)['"]/g),
  ].map(([, specifier]) => specifier as string);
  const ours = specifiers.filter((specifier) => specifier.startsWith('.'));
  const lazy = [...code.matchAll(/\bimport\(\s*['"](\.[^'"]+)['"]\s*\)/g)].map(([, specifier]) => specifier as string);
  return {
    path,
    room: roomOf(path),
    text,
    imports: [...new Set(ours.map((specifier) => join(dirname(path), specifier)))],
    lazy: lazy.map((specifier) => join(dirname(path), specifier)),
    packages: specifiers.filter((specifier) => !specifier.startsWith('.')).map(packageOf),
  };
}

/** The folder in src, or the name of a file that lies in src itself. */
function roomOf(path: string): string {
  const [, room = ''] = path.split('/');
  return room.replace(/\.ts$/, '');
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] as string);
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

/** Every import between rooms, as `src/a.ts -> src/b.ts`, that `allowed` does not allow. */
function breaches(allowed: (from: Source, to: Source) => boolean): string[] {
  return written.flatMap((from) =>
    from.imports.flatMap((path) => {
      const to = sources.get(path);
      if (to === undefined || to.room === from.room || allowed(from, to)) return [];
      return [`${from.path} -> ${to.path}`];
    }),
  );
}

test('the sources are found, and every import leads to a file', () => {
  expect(sources.size).toBeGreaterThan(80);
  const lost = [...sources.values()].flatMap(({ path, imports }) =>
    imports.filter((target) => !sources.has(target)).map((target) => `${path} -> ${target}`),
  );
  expect(lost).toEqual([]);
});

test('every room has its place in the house', () => {
  const rooms = [...new Set([...sources.values()].map(({ room }) => room))];
  expect(rooms.filter((room) => floorOf(room) === -1 && OUTSIDE[room] === undefined)).toEqual([]);
});

describe('imports', () => {
  test('point down', () => {
    const wrong = breaches((from, to) => {
      if (OUTSIDE[from.room] !== undefined || OUTSIDE[to.room] !== undefined) return true;
      return floorOf(to.room) > floorOf(from.room);
    });
    expect(wrong).toEqual([]);
  });

  test('make no cycles', () => {
    expect(findCycle()).toEqual([]);
  });

  test('of generated code are for those who speak to the wire', () => {
    expect(breaches((from, to) => to.room !== 'gen' || MAY_IMPORT_GEN.includes(from.room))).toEqual([]);
  });

  test('of the client are for the command line', () => {
    expect(breaches((from, to) => to.room !== 'client' || MAY_IMPORT_CLIENT.includes(from.room))).toEqual([]);
  });

  test('of the load generator are for the command line', () => {
    expect(breaches((from, to) => to.room !== 'bench' || from.room === 'cli')).toEqual([]);
  });

  test('in client and load generator know nothing of the server', () => {
    expect(
      breaches((from, to) => OUTSIDE[from.room] === undefined || OUTSIDE[from.room]?.includes(to.room) === true),
    ).toEqual([]);
  });

  test('in the suites of bench/ as well, but for those that measure a part alone', () => {
    // The command line they start as a process.
    const known = ['bench', 'client', 'gen', 'main'];
    const wrong = outsiders
      .filter(({ path }) => path.startsWith('bench/') && !path.startsWith('bench/micro/'))
      .flatMap(({ path, imports }) =>
        imports.filter((to) => sources.has(to) && !known.includes(roomOf(to))).map((to) => `${path} -> ${to}`),
      );
    expect(wrong).toEqual([]);
  });

  test('in generated code stay there', () => {
    const leaving = [...sources.values()]
      .filter(({ room }) => room === 'gen')
      .flatMap(({ path, imports }) =>
        imports.filter((target) => roomOf(target) !== 'gen').map((to) => `${path} -> ${to}`),
      );
    expect(leaving).toEqual([]);
  });
});

describe('threads', () => {
  test("a worker's entry knows messages, tensors, errors and onnxruntime", () => {
    const entry = sources.get('src/workers/entry.ts') as Source;
    const allowed = ['src/workers/messages.ts', 'src/tensor.ts', 'src/errors.ts'];
    expect(entry.imports.filter((path) => !allowed.includes(path))).toEqual([]);
    expect([...new Set(entry.packages)]).toEqual(['node:worker_threads', 'onnxruntime-node']);
    // What it imports brings nothing else along.
    const along = entry.imports.flatMap((path) => (sources.get(path) as Source).imports);
    expect(along.filter((path) => !allowed.includes(path))).toEqual([]);
  });

  test('onnxruntime is known to nobody else', () => {
    expect(users('onnxruntime-node')).toEqual(['src/workers/entry.ts']);
  });

  test('Piscina is known in workers/ only', () => {
    expect(users('piscina').filter((path) => !path.startsWith('src/workers/'))).toEqual([]);
  });

  test('the client of Redis is known in redis/ only', () => {
    expect(users('ioredis').filter((path) => !path.startsWith('src/redis/'))).toEqual([]);
  });

  test('gRPC is known at the edges only', () => {
    const edges = ['grpc', 'client', 'gen', 'main', 'bench'];
    expect(users('@grpc/grpc-js').filter((path) => !edges.includes(roomOf(path)))).toEqual([]);
  });
});

describe('files', () => {
  test('are all used', () => {
    expect([...sources.keys()].filter((path) => !reachable().has(path))).toEqual([]);
  });

  test('pass nothing on that is not theirs', () => {
    const barrels = written.filter(({ text }) =>
      /^export\s+(?:type\s+)?(?:\*|\{[^}]*\})\s*(?:as\s+\w+\s+)?from\b/m.test(text),
    );
    expect(barrels.map(({ path }) => path)).toEqual([]);
    expect(written.filter(({ path }) => /\/index\.ts$/.test(path)).map(({ path }) => path)).toEqual([]);
  });

  test(`can be read in one sitting: ${MAX_LINES} lines at most`, () => {
    const long = written.filter(({ text }) => text.split('\n').length > MAX_LINES + 1);
    expect(long.map(({ path }) => relative('src', path))).toEqual([]);
  });
});

/** Who imports a package. */
function users(name: string): string[] {
  return [...sources.values()].filter(({ packages }) => packages.includes(name)).map(({ path }) => path);
}

/** All files that a program of ours gets to: the command line, the worker's entry, the client, what benches and tools use. */
function reachable(): Set<string> {
  const next = ['src/main.ts', 'src/workers/entry.ts', 'src/client/connect.ts'];
  next.push(...outsiders.flatMap(({ imports }) => imports.filter((path) => sources.has(path))));
  const found = new Set<string>();
  for (let path = next.pop(); path !== undefined; path = next.pop()) {
    if (found.has(path)) continue;
    found.add(path);
    next.push(...(sources.get(path)?.imports ?? []));
  }
  return found;
}

/**
 * The files of one cycle, in order; none if there is no cycle. A lazy import closes none: what is loaded so may know the
 * types of who loads it.
 */
function findCycle(): string[] {
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): string[] => {
    if (done.has(path)) return [];
    const at = trail.indexOf(path);
    if (at >= 0) return [...trail.slice(at), path];
    trail.push(path);
    const { imports, lazy } = sources.get(path) as Source;
    for (const target of imports.filter((one) => !lazy.includes(one))) {
      const cycle = visit(target);
      if (cycle.length > 0) return cycle;
    }
    trail.pop();
    done.add(path);
    return [];
  };
  for (const path of sources.keys()) {
    const cycle = visit(path);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
