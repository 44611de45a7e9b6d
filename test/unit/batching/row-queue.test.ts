import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { QueuedRows } from '../../../src/batching/queued-rows.ts';
import { RowQueue } from '../../../src/batching/row-queue.ts';
import { FakeRow, type FakeRowOptions } from '../../support/fake-row.ts';

const ROOM = 1_000_000;

function queueOf(rows: readonly FakeRow[], limit = ROOM): RowQueue {
  const queue = new RowQueue(limit);
  for (const row of rows) queue.push(row);
  return queue;
}

function rowsOf(count: number, options: (number: number) => FakeRowOptions = () => ({})): FakeRow[] {
  return Array.from({ length: count }, (_, number) => new FakeRow(number, options(number)));
}

const numbers = (rows: readonly QueuedRows[]): number[] => rows.map((row) => (row as FakeRow).number);

/** Numbers of the rows that `peek` gives, and of those that it drops. */
function peek(queue: RowQueue, limit = ROOM, nowMs = 0): { rows: number[]; dropped: number[] } {
  const target: QueuedRows[] = [];
  const dropped: QueuedRows[] = [];
  const count = queue.peek(target, limit, nowMs, dropped);
  return { rows: numbers(target.slice(0, count)), dropped: numbers(dropped) };
}

/** Takes the next batch out; its numbers. */
function take(queue: RowQueue, limit = ROOM, nowMs = 0): number[] {
  const target: QueuedRows[] = [];
  const count = queue.peek(target, limit, nowMs, []);
  queue.remove(target, count);
  return numbers(target.slice(0, count));
}

describe('order and number', () => {
  it('gives rows in the order in which they came', () => {
    const queue = queueOf(rowsOf(5));
    expect(take(queue, 2)).toEqual([0, 1]);
    queue.push(new FakeRow(5));
    expect(take(queue, 3)).toEqual([2, 3, 4]);
    expect(take(queue)).toEqual([5]);
    expect(queue.length).toBe(0);
  });

  it('leaves the rows queued until they are taken', () => {
    const queue = queueOf(rowsOf(3));
    expect(peek(queue, 2).rows).toEqual([0, 1]);
    expect(peek(queue).rows).toEqual([0, 1, 2]);
    expect(queue.length).toBe(3);
  });

  it('takes fewer than were looked at, where so many are asked for', () => {
    const queue = queueOf(rowsOf(4));
    const target: QueuedRows[] = [];
    queue.peek(target, 4, 0, []);
    queue.remove(target, 2);
    expect(take(queue)).toEqual([2, 3]);
  });

  it('gives nothing when it is empty', () => {
    expect(peek(new RowQueue(1))).toEqual({ rows: [], dropped: [] });
  });

  it('keeps order and length over thousands of rows', () => {
    const queue = new RowQueue(ROOM);
    const taken: number[] = [];
    let next = 0;
    for (let round = 0; round < 300; round++) {
      for (let i = 0; i < 40; i++) queue.push(new FakeRow(next++));
      taken.push(...take(queue, round < 200 ? 25 : 70));
      expect(queue.length).toBe(next - taken.length);
    }
    taken.push(...take(queue));
    expect(taken).toEqual(Array.from({ length: next }, (_, i) => i));
  });

  it('is full at its limit, and no longer when a row is taken', () => {
    const queue = queueOf(rowsOf(2), 3);
    expect(queue.full).toBe(false);
    queue.push(new FakeRow(2));
    expect(queue.full).toBe(true);
    take(queue, 1);
    expect(queue.full).toBe(false);
  });

  it('gives everything up when it is drained, and answers nothing', () => {
    const rows = rowsOf(4);
    const queue = queueOf(rows);
    take(queue, 1);
    expect(numbers(queue.drain())).toEqual([1, 2, 3]);
    expect(queue.length).toBe(0);
    expect(rows.map((row) => row.outcome)).toEqual(['', '', '', '']);
  });
});

describe('shapes', () => {
  const mixed = (): RowQueue => queueOf(rowsOf(7, (number) => ({ shape: '2332232'[number] as string })));

  it('gives the oldest row and those that may ride with it', () => {
    expect(peek(mixed()).rows).toEqual([0, 3, 4, 6]);
  });

  it('takes them out from between the others, which keep their order', () => {
    const queue = mixed();
    expect(take(queue, 3)).toEqual([0, 3, 4]);
    expect(queue.length).toBe(4);
    expect(take(queue)).toEqual([1, 2, 5]);
    expect(take(queue)).toEqual([6]);
    expect(queue.length).toBe(0);
  });

  it('goes by the oldest row that is alive', () => {
    const rows = rowsOf(4, (number) => ({ shape: '2323'[number] as string }));
    const queue = queueOf(rows);
    (rows[0] as FakeRow).left = true;
    expect(peek(queue)).toEqual({ rows: [1, 3], dropped: [0] });
  });
});

describe('dead rows', () => {
  it('leave at the front, in the middle and at the end, and are left to the caller to answer', () => {
    const rows = rowsOf(6);
    for (const dead of [0, 3, 5]) (rows[dead] as FakeRow).left = true;
    const queue = queueOf(rows);
    expect(peek(queue)).toEqual({ rows: [1, 2, 4], dropped: [0, 3, 5] });
    expect(queue.length).toBe(3);
    expect(rows.every((row) => row.outcome === '')).toBe(true);
    expect(peek(queue)).toEqual({ rows: [1, 2, 4], dropped: [] });
    expect(take(queue)).toEqual([1, 2, 4]);
  });

  it('a row is dead at its deadline, and alive before', () => {
    const queue = queueOf([new FakeRow(0, { deadlineMs: 10 })]);
    expect(peek(queue, ROOM, 9.999).rows).toEqual([0]);
    expect(peek(queue, ROOM, 10)).toEqual({ rows: [], dropped: [0] });
    expect(queue.length).toBe(0);
  });

  it('a latency budget that is over kills nothing', () => {
    expect(peek(queueOf([new FakeRow(0, { budgetEndMs: 10 })]), ROOM, 20).rows).toEqual([0]);
  });

  it('stay where they are behind the rows that are enough', () => {
    const rows = rowsOf(4);
    (rows[3] as FakeRow).left = true;
    const queue = queueOf(rows);
    expect(peek(queue, 2)).toEqual({ rows: [0, 1], dropped: [] });
    expect(queue.length).toBe(4);
  });

  it('of another shape leave as well', () => {
    const rows = rowsOf(4, (number) => ({ shape: '2322'[number] as string }));
    (rows[1] as FakeRow).left = true;
    const queue = queueOf(rows);
    expect(peek(queue)).toEqual({ rows: [0, 2, 3], dropped: [1] });
    expect(queue.length).toBe(3);
  });

  it('are answered once when the queue is swept, each with its reason', () => {
    const rows = rowsOf(5, (number) => ({ deadlineMs: number === 1 ? 10 : Number.POSITIVE_INFINITY }));
    (rows[3] as FakeRow).left = true;
    const queue = queueOf(rows);
    take(queue, 1);
    queue.sweep(10);
    expect(rows.map((row) => row.outcome)).toEqual(['', 'DEADLINE_EXPIRED_IN_QUEUE', '', 'CALLER_LEFT', '']);
    expect(rows[1]?.error?.kind).toBe('deadline_exceeded');
    expect(rows[3]?.error?.kind).toBe('cancelled');
    queue.sweep(100);
    expect(rows.map((row) => row.answers.length)).toEqual([0, 1, 0, 1, 0]);
    expect(take(queue)).toEqual([2, 4]);
  });

  it('a row that expired and whose caller left is told about the deadline', () => {
    const row = new FakeRow(0, { deadlineMs: 10 });
    row.left = true;
    queueOf([row]).sweep(10);
    expect(row.outcome).toBe('DEADLINE_EXPIRED_IN_QUEUE');
  });

  it('a sweep leaves the queue whole for a row that is submitted by the answer to another', () => {
    const queue = new RowQueue(ROOM);
    queue.push(new FakeRow(0, { deadlineMs: 1, answered: () => queue.push(new FakeRow(9)) }));
    queue.push(new FakeRow(1));
    queue.sweep(1);
    expect(take(queue)).toEqual([1, 9]);
  });
});

describe('the work of a long queue', () => {
  /** Rows that count how often they are asked whether they are alive. */
  class CountingRow extends FakeRow {
    static asked = 0;
    override abandoned(): boolean {
      CountingRow.asked++;
      return super.abandoned();
    }
  }

  const crowd = (count: number): CountingRow[] => Array.from({ length: count }, (_, i) => new CountingRow(i));

  it('sweeps rest in proportion to what they look at, so that refusing a crowd costs little', () => {
    const queue = queueOf(crowd(4000));
    CountingRow.asked = 0;
    // A row comes every 10 us for 20 ms, and each of them asks for a sweep.
    for (let i = 0; i < 2000; i++) queue.sweep(i / 100);
    expect(CountingRow.asked).toBeLessThan(4000 * 7);
    expect(CountingRow.asked).toBeGreaterThan(4000 * 2);
  });

  it('a short queue is swept again at once', () => {
    const rows = rowsOf(3);
    const queue = queueOf(rows);
    queue.sweep(1);
    (rows[1] as FakeRow).left = true;
    queue.sweep(1.01);
    expect(rows[1]?.outcome).toBe('CALLER_LEFT');
  });

  it('drops a crowd of dead rows in one pass', () => {
    const rows = crowd(200_000);
    for (const row of rows.slice(1)) row.left = true;
    const queue = queueOf(rows);
    CountingRow.asked = 0;
    // Were they taken out one by one, this would take the better part of a minute.
    expect(peek(queue, 64).rows).toEqual([0]);
    expect(CountingRow.asked).toBe(200_000);
    expect(queue.length).toBe(1);
  });
});

// The simplest queue that can be right: a list, searched from the front.
class ModelQueue {
  rows: FakeRow[] = [];

  get length(): number {
    return this.rows.reduce((sum, { rows }) => sum + rows, 0);
  }

  peek(limit: number, nowMs: number): { rows: number[]; dropped: number[] } {
    const found: FakeRow[] = [];
    const dropped: FakeRow[] = [];
    let count = 0;
    for (const row of this.rows) {
      if (count >= limit) break;
      if (row.left || row.deadlineMs <= nowMs) {
        dropped.push(row);
      } else if (found.length === 0 || row.shapeKey === found[0]?.shapeKey) {
        if (found.length > 0 && count + row.rows > limit) break;
        found.push(row);
        count += row.rows;
      }
    }
    this.rows = this.rows.filter((row) => !dropped.includes(row));
    return { rows: numbers(found), dropped: numbers(dropped) };
  }
}

test('does what a plain list would do', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('push' as const),
      shape: fc.constantFrom('', '2', '3'),
      lifeMs: fc.constantFrom(1, 5, ROOM),
      rows: fc.constantFrom(1, 1, 1, 2, 9),
    }),
    fc.record({ kind: fc.constant('leave' as const), which: fc.nat() }),
    fc.record({ kind: fc.constant('peek' as const), limit: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant('take' as const), limit: fc.integer({ min: 1, max: 6 }), fewer: fc.nat({ max: 3 }) }),
    fc.record({ kind: fc.constant('sweep' as const) }),
    fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 3 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const queue = new RowQueue(ROOM);
      const model = new ModelQueue();
      let nowMs = 0;
      let count = 0;
      for (const step of steps) {
        switch (step.kind) {
          case 'push': {
            const { shape, rows } = step;
            const row = new FakeRow(count++, { shape, rows, deadlineMs: nowMs + step.lifeMs });
            queue.push(row);
            model.rows.push(row);
            break;
          }
          case 'leave': {
            const row = model.rows[step.which % Math.max(1, model.rows.length)];
            if (row !== undefined) row.left = true;
            break;
          }
          case 'peek':
            expect(peek(queue, step.limit, nowMs)).toEqual(model.peek(step.limit, nowMs));
            break;
          case 'take': {
            const target: QueuedRows[] = [];
            const found = queue.peek(target, step.limit, nowMs, []);
            const expected = model.peek(step.limit, nowMs).rows;
            expect(numbers(target.slice(0, found))).toEqual(expected);
            const taken = expected.slice(0, Math.max(0, found - step.fewer));
            queue.remove(target, taken.length);
            model.rows = model.rows.filter((row) => !taken.includes(row.number));
            break;
          }
          case 'sweep': {
            // Long after the last one, so that it is due.
            nowMs += 1;
            const dead = model.rows.filter((row) => row.left || row.deadlineMs <= nowMs);
            queue.sweep(nowMs);
            for (const row of dead) expect(row.outcome).not.toBe('');
            model.rows = model.rows.filter((row) => !dead.includes(row));
            break;
          }
          case 'time':
            nowMs += step.ms;
        }
        expect(queue.length).toBe(model.length);
        expect(model.rows.every((row) => row.outcome === '')).toBe(true);
      }
      expect(numbers(queue.drain())).toEqual(numbers(model.rows));
    }),
    { numRuns: 500 },
  );
});
