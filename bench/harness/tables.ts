// Tables of rows, made by DuckDB from a model's golden rows: each of those again and again. For jobs its numbers are changed by up to
// a tenth.

import { DuckDBInstance } from '@duckdb/node-api';

async function run(...statements: readonly string[]): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    for (const statement of statements) await connection.run(statement);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** Rows of a model that takes lists of `columns` numbers: id, then c0 and so on. */
export function writeNumbers(golden: string, columns: number, rows: number, to: string): Promise<void> {
  const values = Array.from(
    { length: columns },
    (_, index) => `(g."row"[${index + 1}] * (0.9 + 0.2 * random()))::FLOAT AS c${index}`,
  );
  return run(
    'SELECT setseed(0.5)',
    `CREATE TABLE golden AS SELECT row_number() OVER () - 1 AS place, "row" FROM read_json('${golden}', columns = {"row": 'DOUBLE[]'})`,
    `COPY (SELECT i AS id, ${values.join(', ')} FROM range(${rows}) t(i)
      JOIN golden g ON g.place = i % (SELECT count(*) FROM golden)) TO '${to}'`,
  );
}

/** Features by entity: id, which begins at `firstId`, then c0 and so on, the golden rows as they are. */
export function writeEntities(
  golden: string,
  columns: number,
  rows: number,
  firstId: number,
  to: string,
): Promise<void> {
  const values = Array.from({ length: columns }, (_, index) => `g."row"[${index + 1}]::FLOAT AS c${index}`);
  return run(
    `CREATE TABLE golden AS SELECT row_number() OVER () - 1 AS place, "row" FROM read_json('${golden}', columns = {"row": 'DOUBLE[]'})`,
    `COPY (SELECT ${firstId} + i AS id, ${values.join(', ')} FROM range(${rows}) t(i)
      JOIN golden g ON g.place = i % (SELECT count(*) FROM golden)) TO '${to}'`,
  );
}

/** Customers as examples/models/churn takes them. */
export function writeCustomers(golden: string, rows: number, to: string): Promise<void> {
  return run(
    'SELECT setseed(0.5)',
    `CREATE TABLE golden AS SELECT row_number() OVER () - 1 AS place, "row".* FROM read_json('${golden}')`,
    `COPY (SELECT i + 1 AS customer_id, g.* EXCLUDE (place) REPLACE ((monthly_charges * (0.9 + 0.2 * random()))::FLOAT
        AS monthly_charges, (data_gb * (0.9 + 0.2 * random()))::FLOAT AS data_gb)
      FROM range(${rows}) t(i) JOIN golden g ON g.place = i % (SELECT count(*) FROM golden)) TO '${to}'`,
  );
}
