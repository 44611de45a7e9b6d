// A caller who asks for a million rows, reads one chunk, and sleeps.

import http2 from 'node:http2';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ScoreBatchResponse, type ScoreBatchSummary } from '../../src/gen/scorewire/v1/scoring.ts';
import { eventually } from '../support/concurrently.ts';
import { modelFolder } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { TestServer } from '../support/test-server.ts';

const ROWS = 1_000_000;
const COLUMNS = 10;
/** Of a chunk where the caller doesn't say. */
const CHUNK_ROWS = 1000;

let server: TestServer;

beforeAll(async () => {
  const weights = Array.from({ length: COLUMNS }, () => 0.1);
  server = await TestServer.start(await modelFolder({ wide: linear(weights, 0), other: linear([1, -1], 0) }), [
    'workers.count=2',
  ]);
});

afterAll(() => server.stop());

/** A call whose answer is read message by message, when the test says so. */
class SlowCall {
  readonly #stream: http2.ClientHttp2Stream;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(session: http2.ClientHttp2Session, message: Uint8Array) {
    this.#stream = session.request({
      ':method': 'POST',
      ':path': '/scorewire.v1.ScoringService/ScoreBatch',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    this.#stream.write(prefix);
    this.#stream.end(message);
  }

  /** Undefined at the end. */
  async next(): Promise<ScoreBatchResponse['part']> {
    for (;;) {
      const length = this.#bytes.length < 5 ? Number.POSITIVE_INFINITY : 5 + this.#bytes.readUInt32BE(1);
      if (this.#bytes.length >= length) {
        const { part } = ScoreBatchResponse.decode(this.#bytes.subarray(5, length));
        this.#bytes = this.#bytes.subarray(length);
        return part;
      }
      const more: Buffer | null = this.#stream.read();
      if (more !== null) this.#bytes = Buffer.concat([this.#bytes, more]);
      else if (this.#stream.readableEnded) return undefined;
      else await new Promise<void>((resolve) => this.#onceMore(resolve));
    }
  }

  #onceMore(resolve: () => void): void {
    const more = (): void => {
      this.#stream.off('readable', more);
      this.#stream.off('end', more);
      resolve();
    };
    this.#stream.on('readable', more);
    this.#stream.on('end', more);
  }
}

function million(): Uint8Array {
  const values = new Float32Array(ROWS * COLUMNS);
  for (let row = 0; row < ROWS; row++) values.fill(row / ROWS, row * COLUMNS, (row + 1) * COLUMNS);
  const message = new BinaryWriter().uint32(10).string('wide').uint32(34).fork();
  return message.uint32(8).uint32(COLUMNS).uint32(18).bytes(new Uint8Array(values.buffer)).join().finish();
}

const scored = () => server.metric('scorewire_batch_rows_sum', { model: 'wide' });

test('is held back as soon as it stops, keeps nobody else waiting, and gets every row once when it wakes', async () => {
  const message = million();
  const before = await scored();
  const session = http2.connect(`http://${server.address}`);
  const call = new SlowCall(session, message);
  const first = await call.next();
  expect(first?.$case).toBe('chunk');

  // Asleep, until nothing moves any more: rows that are not scored take no memory.
  let last = -1;
  await eventually(async () => {
    const now = await scored();
    const still = now === last;
    last = now;
    if (!still) await new Promise((resolve) => setTimeout(resolve, 100));
    return still;
  });
  // The windows and buffers between here and there hold some chunks, and each worker has some blocks.
  expect(last - before).toBeLessThan(ROWS / 10);
  const heldBytes = process.memoryUsage().arrayBuffers;
  for (let index = 0; index < 200; index++) {
    expect((await server.client.score('other', [1, 1])).score).toBe(0.5);
  }
  expect(await scored()).toBe(last);
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(heldBytes + message.length / 2);

  const seen = new Uint8Array(ROWS);
  let summary: ScoreBatchSummary | undefined;
  for (let part = first; part !== undefined; part = await call.next()) {
    if (part.$case === 'summary') {
      summary = part.value;
      continue;
    }
    const from = Number(part.value.firstRow);
    expect(part.value.scores).toHaveLength(CHUNK_ROWS);
    // Row by row its score: rows are not mixed up either.
    for (const [place, score] of part.value.scores.entries()) {
      const row = from + place;
      seen[row] = (seen[row] as number) + (Math.abs(score - 1 / (1 + Math.exp(-row / ROWS))) < 1e-5 ? 1 : 100);
    }
  }
  expect(seen.every((times) => times === 1)).toBe(true);
  expect(summary).toMatchObject({ rows: BigInt(ROWS), scored: BigInt(ROWS), failed: 0n });
  expect((await scored()) - before).toBe(ROWS);
  session.destroy();
});
