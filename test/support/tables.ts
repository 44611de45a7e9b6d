// Tables in files, as the people who run jobs have them: made and read by DuckDB.
import { DuckDBInstance, type Json } from '@duckdb/node-api';

/** The rows of the last of these statements; integers of 64 bits are texts. */
export async function sql(...statements: readonly string[]): Promise<Record<string, Json>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    let rows: Record<string, Json>[] = [];
    for (const statement of statements) rows = (await connection.runAndReadAll(statement)).getRowObjectsJson();
    return rows;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** The same customers on every call, as a SELECT: `count` of them, from id 1 on. */
export function customers(count: number): string {
  return `SELECT i AS customer_id, i % 100 AS tenure_months, ['basic', 'standard', 'premium'][1 + i % 3] AS plan,
      ['monthly', 'one_year', 'two_year'][1 + i % 3] AS contract, ['card', 'invoice'][1 + i % 2] AS payment_method,
      ['north', 'south'][1 + i % 2] AS region, i % 2 = 0 AS paperless_billing, (20 + i % 50)::FLOAT AS monthly_charges,
      (i % 30)::FLOAT AS data_gb, i % 4 AS support_calls, i % 3 AS late_payments,
      CASE WHEN i % 5 > 0 THEN (i % 10)::FLOAT END AS satisfaction
    FROM range(1, ${count + 1}) t(i)`;
}
