// Our client against a server that does as a test tells it to: what rides on which stream, what is tried again and when.

import { Metadata, type ServiceError, status as Status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from '../../src/client/connect.ts';
import type { Client, ConnectOptions, ScoredRows, ScoreResult } from '../../src/client/types.ts';
import type { ScoreStreamRequest, StreamItem } from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { scoreFailureOf } from '../support/score-failure.ts';
import {
  answerBatch,
  answered,
  chunk,
  echoItems,
  failed,
  responseTo,
  type ScoreBatch,
  type ScoreStream,
  serveScores,
  summary,
} from '../support/scoring-stub.ts';

const PATIENT = 20_000;

const ROWS = Array.from({ length: 25 }, (_, index) => [index, 1]);

const clients: Client[] = [];

afterEach(async () => {
  // Before the server goes, which would give them something to retry.
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

type Script = Parameters<typeof serveScores>[0];

async function clientOf(script: Script, options: ConnectOptions = {}): Promise<Client> {
  return connectTo(await serveScores(script, { 'grpc.max_receive_message_length': -1 }), options);
}

/** Clients of one server share a connection. */
function connectTo(port: number, options: ConnectOptions = {}): Client {
  const client = connect(`127.0.0.1:${port}`, { deadlineMs: PATIENT, ...options });
  clients.push(client);
  return client;
}

const scoreOf = (client: Client, value: number, options = {}): Promise<ScoreResult> =>
  client.score({ model: 'm', row: [value] }, options);

function statusError(code: Status, trailers: Record<string, string> = {}): Partial<ServiceError> {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, value);
  return { code, details: 'as the script says', metadata };
}

/** A stream's side of the server: keeps what comes until it is told to answer. */
class Streams {
  readonly open: { call: ScoreStream; items: StreamItem[]; messages: number; most: number }[] = [];
  readonly script: Script = {
    stream: (call) => {
      const stream = { call, items: [] as StreamItem[], messages: 0, most: 0 };
      this.open.push(stream);
      call.on('data', ({ items }: ScoreStreamRequest) => {
        stream.messages++;
        stream.items.push(...items);
        stream.most = Math.max(stream.most, stream.items.length);
      });
      call.on('end', () => call.end());
    },
    score: () => {
      this.unary++;
    },
  };
  unary = 0;

  get items(): number {
    return this.open.reduce((sum, { items }) => sum + items.length, 0);
  }

  answer(): void {
    for (const { call, items } of this.open) {
      const results = items.splice(0).map(({ id, request }) => answered(id, request));
      if (results.length > 0) call.write({ results });
    }
  }
}

describe('many scores', () => {
  test('share the streams, in one message what was asked for in one tick, and no more than a stream takes', async () => {
    const streams = new Streams();
    const client = await clientOf(streams.script);
    const first = Array.from({ length: 10 }, (_, index) => scoreOf(client, index));
    await eventually(() => streams.items === 10);
    expect(streams.open).toMatchObject([{ messages: 1 }]);

    const more = Array.from({ length: 1990 }, (_, index) => scoreOf(client, 10 + index));
    await eventually(() => streams.items === 1024);
    let done = 0;
    const scores = Promise.all(
      [...first, ...more].map((call) =>
        call.then(({ score }) => {
          done++;
          return score;
        }),
      ),
    );
    await eventually(() => {
      streams.answer();
      return done === 2000;
    });
    expect(await scores).toEqual(Array.from({ length: 2000 }, (_, index) => index));
    expect(streams.open.map(({ most }) => most)).toEqual([512, 512]);
    expect(streams.unary).toBe(0);
  });

  test('begin with one stream, and take as many as they are told', async () => {
    const streams = new Streams();
    const client = await clientOf(streams.script, { streams: 3 });
    for (let asked = 1; asked <= 5; asked++) {
      void scoreOf(client, asked);
      await eventually(() => streams.items === asked);
      expect(streams.open).toHaveLength(Math.min(asked, 3));
    }
    streams.answer();
  });

  test('stay on a stream that has nothing to do', async () => {
    let streams = 0;
    const client = await clientOf({
      stream: (call) => {
        streams++;
        echoItems(call);
      },
    });
    for (let asked = 1; asked <= 5; asked++) expect((await scoreOf(client, asked)).score).toBe(asked);
    expect(streams).toBe(1);
  });

  test('go on the stream that has least to do', async () => {
    const streams = new Streams();
    const client = await clientOf(streams.script);
    for (let asked = 1; asked <= 6; asked++) {
      void scoreOf(client, asked);
      await eventually(() => streams.items === asked);
    }
    expect(streams.open.map(({ items }) => items.length)).toEqual([3, 3]);
    streams.answer();
  });

  test('wait in a queue that has a limit', async () => {
    const streams = new Streams();
    const client = await clientOf(streams.script, { streams: 1, maxQueued: 600 });
    const calls = Array.from({ length: 700 }, (_, index) => scoreOf(client, index).then(({ score }) => score));
    const outcomes = Promise.allSettled(calls);
    expect(await scoreFailureOf(calls[600] as Promise<number>)).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'CLIENT_QUEUE_FULL',
    });
    await eventually(() => streams.items === 512);
    streams.answer();
    await eventually(() => streams.items === 88);
    streams.answer();
    expect((await outcomes).filter(({ status }) => status === 'fulfilled')).toHaveLength(600);
  });

  test('whatever their size: what is large rides alone', async () => {
    const sizes: number[] = [];
    const client = await clientOf({
      stream: echoItems,
      score: (call, done) => {
        sizes.push(call.request.outputNames[0]?.length ?? 0);
        done(null, responseTo(call.request));
      },
    });
    const ask = (size: number) => client.score({ model: 'm', row: [7], outputs: ['x'.repeat(size)] });
    expect((await Promise.all([ask(60_000), ask(70_000), ask(1000)])).map(({ score }) => score)).toEqual([7, 7, 7]);
    expect(sizes).toEqual([70_000]);
  });

  test('fill no message beyond what servers take', async () => {
    const streams = new Streams();
    const client = await clientOf(streams.script);
    const calls = Array.from({ length: 100 }, () =>
      client.score({ model: 'm', row: [1], outputs: ['x'.repeat(10_000)] }),
    );
    await eventually(() => streams.items === 100);
    // 1 MB in messages of up to 256 KiB, over both streams.
    expect(streams.open.reduce((sum, { messages }) => sum + messages, 0)).toBe(4);
    streams.answer();
    await Promise.all(calls);
  });

  test('can have a call each', async () => {
    const streams = new Streams();
    let unary = 0;
    const score: Script['score'] = (call, done) => {
      unary++;
      done(null, responseTo(call.request));
    };
    const client = await clientOf({ ...streams.script, score }, { multiplex: false });
    expect((await scoreOf(client, 3)).score).toBe(3);
    const other = await clientOf({ ...streams.script, score });
    expect((await scoreOf(other, 4, { multiplex: false })).score).toBe(4);
    expect([unary, streams.open.length]).toEqual([2, 0]);
  });
});

describe('a score that fails', () => {
  /** Answers every item, or every call, as `outcomes` say, and then with its score. */
  function failing(outcomes: number[]): { script: Script; attempts: () => number } {
    const left = [...outcomes];
    let attempts = 0;
    const next = () => {
      attempts++;
      return left.shift() ?? Status.OK;
    };
    return {
      attempts: () => attempts,
      script: {
        stream: (call) => {
          call.on('data', ({ items }: ScoreStreamRequest) => {
            for (const { id, request } of items) {
              const code = next();
              const result = code === Status.OK ? answered(id, request) : failed(id, code, 'as the script says');
              call.write({ results: [result] });
            }
          });
          call.on('end', () => call.end());
        },
        score: (call, done) => {
          const code = next();
          if (code === Status.OK) done(null, responseTo(call.request));
          else done(statusError(code));
        },
      },
    };
  }

  describe.each([true, false])('multiplexed: %s', (multiplex) => {
    test('is tried again where the server is unavailable', async () => {
      const { script, attempts } = failing([Status.UNAVAILABLE, Status.UNAVAILABLE]);
      const client = await clientOf(script, { multiplex });
      expect((await scoreOf(client, 5)).score).toBe(5);
      expect(attempts()).toBe(3);
    });

    test.each([
      'INVALID_ARGUMENT',
      'NOT_FOUND',
      'FAILED_PRECONDITION',
      'UNIMPLEMENTED',
      'INTERNAL',
      'DEADLINE_EXCEEDED',
      'RESOURCE_EXHAUSTED',
    ] as const)('is not tried again: %s', async (code) => {
      const { script, attempts } = failing([Status[code]]);
      const client = await clientOf(script, { multiplex });
      expect(await scoreFailureOf(scoreOf(client, 5))).toMatchObject({ code, message: 'as the script says' });
      expect(attempts()).toBe(1);
    });

    test('is left alone once the budget is spent, and tried again when the server has recovered', async () => {
      const { script, attempts } = failing(new Array(54).fill(Status.UNAVAILABLE));
      const client = await clientOf(script, { multiplex, retry: { initialBackoffMs: 1 } });
      for (let call = 0; call < 50; call++) {
        expect((await scoreFailureOf(scoreOf(client, 5))).code).toBe('UNAVAILABLE');
      }
      // The first one has its five attempts, which take half of the tokens; the others have one each.
      expect(attempts()).toBe(54);
      for (let call = 0; call < 100; call++) await scoreOf(client, 5);
      expect(attempts()).toBe(154);
    });
  });

  test('waits as long as the server says', async () => {
    const clock = new FakeClock();
    let attempts = 0;
    const client = await clientOf(
      {
        score: (call, done) => {
          attempts++;
          if (attempts === 1) done(statusError(Status.RESOURCE_EXHAUSTED, { 'grpc-retry-pushback-ms': '5000' }));
          else done(null, responseTo(call.request));
        },
      },
      { multiplex: false, clock, deadlineMs: Number.POSITIVE_INFINITY },
    );
    const call = scoreOf(client, 5);
    await eventually(() => clock.nextTimerMs !== undefined);
    expect(clock.nextTimerMs).toBe(5000);
    await clock.advance(4999);
    expect(attempts).toBe(1);
    await clock.advance(1);
    expect((await call).score).toBe(5);
    expect(attempts).toBe(2);
  });

  test('does not wait beyond its deadline', async () => {
    const client = await clientOf(
      { score: (_, done) => done(statusError(Status.RESOURCE_EXHAUSTED, { 'grpc-retry-pushback-ms': '50000' })) },
      { multiplex: false },
    );
    expect(await scoreFailureOf(scoreOf(client, 5))).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      retryAfterMs: 50_000,
    });
  });
});

describe('a stream that breaks', () => {
  /** The first stream ends with the status when it has so many items; the others answer. */
  function breaking(end: (call: ScoreStream) => void, after: number): { script: Script; streams: () => number } {
    let streams = 0;
    return {
      streams: () => streams,
      script: {
        stream: (call) => {
          if (++streams > 1) {
            echoItems(call);
            return;
          }
          let items = 0;
          call.on('data', (message: ScoreStreamRequest) => {
            items += message.items.length;
            if (items >= after) end(call);
          });
        },
      },
    };
  }

  const ended = (code: Status) => (call: ScoreStream) => call.emit('error', statusError(code));

  test.each<[string, (call: ScoreStream) => void]>([
    ['because the server goes away', ended(Status.UNAVAILABLE)],
    ['though it ends well', (call) => call.end()],
  ])('%s: what was on it is asked for again, as one failure', async (_, end) => {
    const { script, streams } = breaking(end, 300);
    const client = await clientOf(script, { streams: 1 });
    const calls = await Promise.all(Array.from({ length: 300 }, (_, index) => scoreOf(client, index)));
    expect(calls.map(({ score }) => score)).toEqual(Array.from({ length: 300 }, (_, index) => index));
    expect(streams()).toBe(2);
  });

  test('by a fault: what was on it fails, and the next score has another stream', async () => {
    const { script, streams } = breaking(ended(Status.INTERNAL), 20);
    const client = await clientOf(script, { streams: 1 });
    const calls = Array.from({ length: 20 }, (_, index) => scoreFailureOf(scoreOf(client, index)));
    for (const { code } of await Promise.all(calls)) expect(code).toBe('INTERNAL');
    expect((await scoreOf(client, 9)).score).toBe(9);
    expect(streams()).toBe(2);
  });

  test('again and again does not go on for ever', async () => {
    let streams = 0;
    const client = await clientOf(
      {
        stream: (call) => {
          streams++;
          call.on('data', () => ended(Status.UNAVAILABLE)(call));
        },
      },
      { streams: 1, retry: { initialBackoffMs: 1 } },
    );
    const calls = Array.from({ length: 100 }, (_, index) => scoreFailureOf(scoreOf(client, index)));
    for (const { code } of await Promise.all(calls)) expect(code).toBe('UNAVAILABLE');
    // Retries come back one by one, at times of their own: five failures are what the budget has for all of them.
    expect(streams).toBeLessThanOrEqual(5 + 100);
    const before = streams;
    await scoreFailureOf(scoreOf(client, 1));
    expect(streams).toBe(before + 1);
  });
});

describe('a score that nobody waits for', () => {
  test('fails at its deadline; its answer is dropped, and the stream goes on', async () => {
    const clock = new FakeClock();
    const streams = new Streams();
    const client = await clientOf(streams.script, { clock });
    const call = scoreFailureOf(scoreOf(client, 1, { deadlineMs: 30 }));
    await eventually(() => streams.items === 1);
    await clock.advance(30);
    expect(await call).toMatchObject({ code: 'DEADLINE_EXCEEDED', message: 'no answer within 30 ms' });
    const next = scoreOf(client, 2);
    await eventually(() => streams.items === 2);
    streams.answer();
    expect((await next).score).toBe(2);
  });

  test('is not sent at all where it waits for room', async () => {
    const clock = new FakeClock();
    const streams = new Streams();
    const client = await clientOf(streams.script, { clock, streams: 1 });
    const full = Array.from({ length: 512 }, (_, index) => scoreOf(client, index));
    const user = new AbortController();
    const late = scoreFailureOf(scoreOf(client, 1000, { deadlineMs: 30 }));
    const givenUp = scoreFailureOf(scoreOf(client, 1001, { signal: user.signal }));
    const wanted = scoreOf(client, 1002);
    await eventually(() => streams.items === 512);
    user.abort();
    await clock.advance(30);
    expect([(await late).code, (await givenUp).code]).toEqual(['DEADLINE_EXCEEDED', 'CANCELLED']);
    streams.answer();
    await eventually(() => streams.items === 1);
    streams.answer();
    expect((await wanted).score).toBe(1002);
    await Promise.all(full);
  });

  test('is given up in flight', async () => {
    const streams = new Streams();
    const client = await clientOf(streams.script);
    const user = new AbortController();
    const call = scoreFailureOf(scoreOf(client, 1, { signal: user.signal }));
    await eventually(() => streams.items === 1);
    user.abort();
    expect(await call).toMatchObject({ code: 'CANCELLED', reason: 'ABORTED' });
    streams.answer();
  });

  test('is cancelled where it has a call of its own', async () => {
    let calls = 0;
    let cancelled = 0;
    const client = await clientOf(
      {
        score: (call) => {
          calls++;
          call.on('cancelled', () => cancelled++);
        },
      },
      { multiplex: false },
    );
    const user = new AbortController();
    const call = scoreFailureOf(scoreOf(client, 1, { signal: user.signal }));
    await eventually(() => calls === 1);
    user.abort();
    expect((await call).code).toBe('CANCELLED');
    await eventually(() => cancelled === 1);
    expect((await scoreFailureOf(scoreOf(client, 1, { deadlineMs: 50 }))).code).toBe('DEADLINE_EXCEEDED');
    await eventually(() => cancelled === 2);
  });
});

test('a call of its own takes its deadline along, a stream has none', async () => {
  const deadlines: number[] = [];
  const note = (call: { getDeadline(): Date | number }) => deadlines.push(Number(call.getDeadline()));
  const client = await clientOf({
    stream: (call) => {
      note(call);
      echoItems(call);
    },
    score: (call, done) => {
      note(call);
      done(null, responseTo(call.request));
    },
    batch: (call) => {
      note(call);
      answerBatch(call);
    },
  });
  const beforeMs = Date.now();
  await scoreOf(client, 1, { deadlineMs: 30_000 });
  await scoreOf(client, 1, { deadlineMs: 30_000, multiplex: false });
  for await (const _ of client.scoreBatch({ model: 'm', rows: ROWS }, { deadlineMs: 40_000 }));
  for await (const _ of client.scoreRows('m', ROWS, { deadlineMs: 40_000 }));
  await scoreOf(client, 1, { deadlineMs: Number.POSITIVE_INFINITY, multiplex: false });
  expect(deadlines[0]).toBe(Number.POSITIVE_INFINITY);
  const afterMs = Date.now();
  for (const [index, deadlineMs] of [30_000, 40_000, 40_000].entries()) {
    // The header's last digit may be rounded.
    expect(deadlines[index + 1]).toBeGreaterThan(beforeMs + deadlineMs - 100);
    expect(deadlines[index + 1]).toBeLessThan(afterMs + deadlineMs + 100);
  }
  expect(deadlines[4]).toBe(Number.POSITIVE_INFINITY);
});

describe('closing', () => {
  test('lets finish what is under way, ends the streams well, and lets nothing more begin', async () => {
    const streams = new Streams();
    let halfClosed = 0;
    const port = await serveScores({
      stream: (call) => {
        streams.script.stream?.(call);
        call.on('end', () => halfClosed++);
      },
    });
    const client = connectTo(port, { retry: false });
    const call = scoreOf(client, 4);
    await eventually(() => streams.items === 1);
    let closed = false;
    const closing = client.close().then(() => {
      closed = true;
    });
    expect(await scoreFailureOf(scoreOf(client, 5))).toMatchObject({ code: 'CANCELLED', reason: 'CLIENT_CLOSED' });
    // What the first client may have sent is there before this comes back.
    await connectTo(port).getModel('m');
    expect([closed, halfClosed]).toEqual([false, 0]);
    streams.answer();
    expect((await call).score).toBe(4);
    await closing;
    expect([closed, halfClosed]).toEqual([true, 1]);
    const batch = client.scoreBatch({ model: 'm', rows: ROWS });
    expect(await scoreFailureOf(batch[Symbol.asyncIterator]().next())).toMatchObject({ reason: 'CLIENT_CLOSED' });
    await client.close();
  });

  test('is sure to end, though the server does not end its streams', async () => {
    const clock = new FakeClock();
    const client = await clientOf(
      {
        stream: (call) =>
          call.on('data', ({ items }: ScoreStreamRequest) =>
            call.write({ results: items.map(({ id, request }) => answered(id, request)) }),
          ),
      },
      { clock },
    );
    await scoreOf(client, 4);
    const closing = client.close();
    await eventually(() => clock.nextTimerMs !== undefined);
    await clock.advance(1000);
    await closing;
  });
});

describe('a batch', () => {
  test('is tried again as long as nothing has come', async () => {
    let attempts = 0;
    const client = await clientOf({
      batch: (call) => (++attempts <= 2 ? call.emit('error', statusError(Status.UNAVAILABLE)) : answerBatch(call)),
    });
    const batch = client.scoreBatch({ model: 'm', rows: ROWS });
    let rows = 0;
    for await (const { scores } of batch) rows += scores.length;
    expect([rows, (await batch.summary).rows, attempts]).toEqual([25, 25, 3]);
  });

  test('is not tried again once something has: nobody gets a row twice', async () => {
    const calls: ScoreBatch[] = [];
    const client = await clientOf({
      batch: (call) => {
        calls.push(call);
        call.write(chunk(0, 10));
      },
    });
    const batch = client.scoreBatch({ model: 'm', rows: ROWS });
    const reading = async () => {
      for await (const { rows } of batch) {
        expect(rows).toHaveLength(10);
        calls[0]?.emit('error', statusError(Status.UNAVAILABLE));
      }
    };
    expect(await scoreFailureOf(reading())).toMatchObject({ code: 'UNAVAILABLE' });
    expect(calls).toHaveLength(1);
    expect(await scoreFailureOf(batch.summary)).toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('whose loop is left is cancelled', async () => {
    let cancelled = false;
    const client = await clientOf({
      batch: (call) => {
        call.on('cancelled', () => {
          cancelled = true;
        });
        call.write(chunk(0, 10));
      },
    });
    const batch = client.scoreBatch({ model: 'm', rows: ROWS });
    for await (const { rows } of batch) {
      expect(rows).toHaveLength(10);
      break;
    }
    await eventually(() => cancelled);
    expect(await scoreFailureOf(batch.summary)).toMatchObject({ code: 'CANCELLED' });
    // It no longer keeps the client open.
    await client.close();
  });

  test('is given up by a signal, and by its deadline', async () => {
    const client = await clientOf({ batch: (call) => call.write(chunk(0, 10)) });
    const user = new AbortController();
    const read = async (options: object) => {
      for await (const _ of client.scoreBatch({ model: 'm', rows: ROWS }, options)) user.abort();
    };
    expect(await scoreFailureOf(read({ signal: user.signal }))).toMatchObject({ code: 'CANCELLED', reason: 'ABORTED' });
    expect(await scoreFailureOf(read({ signal: user.signal }))).toMatchObject({ code: 'CANCELLED' });
    expect(await scoreFailureOf(read({ deadlineMs: 50 }))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  test('that ends without a summary did not end well', async () => {
    const client = await clientOf({ batch: (call) => call.end() });
    const read = async () => {
      for await (const _ of client.scoreBatch({ model: 'm', rows: ROWS }));
    };
    expect(await scoreFailureOf(read())).toMatchObject({ code: 'INTERNAL' });
  });

  test('can be read once', async () => {
    const client = await clientOf({ batch: (call) => answerBatch(call) });
    const batch = client.scoreBatch({ model: 'm', rows: ROWS });
    for await (const _ of batch);
    await expect(batch[Symbol.asyncIterator]().next()).rejects.toThrow(TypeError);
  });

  test('whose reader stops holds the server back', async () => {
    const CHUNKS = 3000;
    let written = 0;
    const client = await clientOf({
      batch: (call) => {
        const write = (): void => {
          while (written < CHUNKS) {
            written++;
            if (!call.write(chunk(written * 1000, 1000))) return;
          }
          call.write(summary(CHUNKS * 1000));
          call.end();
        };
        call.on('drain', write);
        write();
      },
    });
    let read = 0;
    for await (const _ of client.scoreBatch({ model: 'm', rows: ROWS })) {
      if (++read > 1) continue;
      // Until nothing moves any more; where it all was taken there is no end of it.
      let before = -1;
      await eventually(async () => {
        const still = before === written;
        before = written;
        await new Promise((resolve) => setTimeout(resolve, 50));
        return still && before === written;
      });
      expect(written).toBeLessThan(CHUNKS / 5);
    }
    expect([read, written]).toEqual([CHUNKS, CHUNKS]);
  });
});

describe('rows without end', () => {
  /** Keeps calls until they are let go. */
  class Batches {
    waiting: ScoreBatch[] = [];
    calls = 0;
    readonly script: Script = {
      batch: (call) => {
        this.calls++;
        this.waiting.push(call);
      },
    };
  }

  const rowsIn = (call: ScoreBatch): number => {
    const { rows } = call.request;
    return rows?.$case === 'matrix' ? rows.value.values.length / rows.value.columns : Number.NaN;
  };

  test('go in calls of which a few are under way, and come back in order', async () => {
    const batches = new Batches();
    const client = await clientOf(batches.script);
    const found: ScoredRows[] = [];
    const reading = (async () => {
      for await (const scored of client.scoreRows('m', ROWS, { callRows: 5, callsInFlight: 3 })) found.push(scored);
    })();
    await eventually(() => batches.waiting.length === 3);
    // The later ones first.
    for (const call of batches.waiting.splice(0).reverse()) answerBatch(call);
    await eventually(() => batches.waiting.length === 2);
    expect(batches.calls).toBe(5);
    for (const call of batches.waiting.splice(0)) answerBatch(call);
    await reading;
    expect(found.map(({ firstRow, scores }) => [firstRow, scores.length])).toEqual(
      [0, 5, 10, 15, 20].map((at) => [at, 5]),
    );
  });

  test('are read no faster than their scores are taken', async () => {
    let given = 0;
    let left = false;
    async function* rows(): AsyncGenerator<number[]> {
      try {
        for (;;) yield [given++];
      } finally {
        left = true;
      }
    }
    const client = await clientOf({ batch: (call) => answerBatch(call) });
    let taken = 0;
    for await (const { scores } of client.scoreRows('m', rows(), { callRows: 10, callsInFlight: 2 })) {
      taken += scores.length;
      expect(given).toBeLessThanOrEqual(taken + 2 * 10 + 1);
      if (taken === 200) break;
    }
    expect(left).toBe(true);
  });

  test('are cancelled when the loop is left', async () => {
    let cancelled = 0;
    let calls = 0;
    const client = await clientOf({
      batch: (call) => {
        if (++calls === 1) answerBatch(call);
        else call.on('cancelled', () => cancelled++);
      },
    });
    for await (const _ of client.scoreRows('m', ROWS, { callRows: 5, callsInFlight: 3 })) {
      await eventually(() => calls === 3);
      break;
    }
    await eventually(() => cancelled === 2);
  });

  test('are asked for again, call by call, and an error comes after the scores before it', async () => {
    let calls = 0;
    const client = await clientOf({
      batch: (call) => {
        const { rows } = call.request;
        const first = rows?.$case === 'matrix' ? rows.value.values[0] : undefined;
        if (++calls === 2) {
          // Some of its rows, and then the end.
          call.write(chunk(0, 2));
          call.emit('error', statusError(Status.UNAVAILABLE));
        } else if (first === 20) call.emit('error', statusError(Status.NOT_FOUND));
        else answerBatch(call);
      },
    });
    const found: number[] = [];
    const reading = async () => {
      for await (const { firstRow, scores } of client.scoreRows('m', ROWS, { callRows: 5, callsInFlight: 1 })) {
        expect([...scores]).toEqual([0.5, 0.5, 0.5, 0.5, 0.5]);
        found.push(firstRow);
      }
    };
    expect(await scoreFailureOf(reading())).toMatchObject({ code: 'NOT_FOUND' });
    expect(found).toEqual([0, 5, 10, 15]);
    expect(calls).toBe(6);
  });

  test('say which row is at fault, over all calls and shapes', async () => {
    const client = await clientOf({
      batch: (call) => {
        const { rows } = call.request;
        const count = rows?.$case === 'columns' ? (rows.value.columns.get('a')?.numbers.length ?? 0) : rowsIn(call);
        const error = { row: BigInt(count - 1), code: 3, reason: 'INVALID_ROW', field: '', message: 'no' };
        call.write(chunk(0, count, [error]));
        call.write(summary(count, 1));
        call.end();
      },
    });
    const rows = Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? { a: index } : { a: index, b: 1 }));
    const errors: number[] = [];
    for await (const scored of client.scoreRows('m', rows, { callRows: 4 })) {
      errors.push(...scored.errors.map(({ row }) => row));
    }
    // Of each four rows two calls are made, of rows 0 and 2, and of rows 1 and 3.
    expect(errors).toEqual([2, 3, 6, 7]);
  });
});
