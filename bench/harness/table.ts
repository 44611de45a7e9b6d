// Figures as a table for a terminal.

import type { Figure } from './figures.ts';

const COLUMNS = ['', 'median', 'min', 'max', 'n', 'unit', 'mark', ''] as const;

/** One line a figure; numbers to the right. */
export function formatTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    formatNumber(figure.median),
    formatNumber(figure.min),
    formatNumber(figure.max),
    String(figure.values.length),
    figure.unit,
    figure.mark === undefined ? '' : `${figure.mark.relation} ${formatNumber(figure.mark.value)}`,
    figure.met === undefined ? '' : figure.met ? 'met' : 'MISSED',
  ]);
  const widths = COLUMNS.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  return [COLUMNS as readonly string[], ...rows]
    .map((row) =>
      row
        .map((cell, column) => pad(cell, widths[column] ?? 0, column))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const FIRST_NUMBER = 1;
const LAST_NUMBER = 4;

function pad(cell: string, width: number, column: number): string {
  return column >= FIRST_NUMBER && column <= LAST_NUMBER ? cell.padStart(width) : cell.padEnd(width);
}

function formatNumber(value: number): string {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? 2 : 3;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: 0 });
}
