// Scores into the score store, beside the files: put before a file keeps them, so that what a run left is in both.
import type { Database } from '../duckdb/database.ts';
import { streamRows } from '../duckdb/read-rows.ts';
import { readColumn } from '../duckdb/vectors.ts';
import type { PutCounts } from '../scores/score-store.ts';
import type { FileSink } from './file-sink.ts';
import type { JobCounts, JobSink, ScoredRows } from './job-sink.ts';
import type { KeptRows } from './messages.ts';

export class StoreSink implements JobSink {
  readonly #files: FileSink;
  readonly #put: (rows: KeptRows) => Promise<PutCounts>;
  readonly #counts: PutCounts = { stored: 0, outdated: 0, invalidated: 0 };

  /** @param put puts scores; rejects where the store doesn't take them */
  constructor(files: FileSink, put: (rows: KeptRows) => Promise<PutCounts>) {
    this.#files = files;
    this.#put = put;
  }

  get rowsKept(): number {
    return this.#files.rowsKept;
  }

  get rejectedKept(): number {
    return this.#files.rejectedKept;
  }

  /** Puts what an earlier run had scored: the store may have lost it since. */
  async catchUp(database: Database): Promise<void> {
    const { rowsKept, rejectedKept, keptScores } = this.#files;
    if (rowsKept === rejectedKept) return;
    for await (const { data } of streamRows(database, keptScores, 0, rowsKept - rejectedKept, 'what is kept')) {
      const [entities, scores, labels, scoredAt, asOf] = [0, 1, 2, 3, 4].map((index) => readColumn(data, index));
      await this.#keep({
        entities: entities?.values as readonly string[],
        scores: Float32Array.from(scores?.values as Iterable<number>),
        labels: Int32Array.from(labels?.values as Iterable<number>, (label, row) =>
          labels?.nulls?.[row] === 1 ? -1 : Number(label),
        ),
        // Microseconds.
        scoredAtMs: Float64Array.from(scoredAt?.values as Iterable<bigint>, (at) => Number(at) / 1000),
        asOfMs: Float64Array.from(asOf?.values as Iterable<bigint>, Number),
      });
    }
  }

  async take(rows: ScoredRows): Promise<void> {
    const entities = rows.entities();
    const places: number[] = [];
    for (const [place, entity] of entities.entries()) {
      if (entity !== null && entity !== '' && !Number.isNaN(rows.scores[place])) places.push(place);
    }
    await this.#keep({
      entities: places.map((place) => entities[place] as string),
      scores: Float32Array.from(places, (place) => rows.scores[place] as number),
      labels: Int32Array.from(places, (place) => rows.labels[place] as number),
      scoredAtMs: new Float64Array(places.length).fill(rows.scoredAtMs),
      asOfMs: Float64Array.from(places, (place) => rows.asOfMs[place] as number),
    });
    await this.#files.take(rows);
  }

  keep(): Promise<void> {
    return this.#files.keep();
  }

  async finish(): Promise<JobCounts> {
    return { ...(await this.#files.finish()), stored: { ...this.#counts } };
  }

  async #keep(rows: KeptRows): Promise<void> {
    const { stored, outdated, invalidated } = await this.#put(rows);
    this.#counts.stored += stored;
    this.#counts.outdated += outdated;
    this.#counts.invalidated += invalidated;
  }
}
