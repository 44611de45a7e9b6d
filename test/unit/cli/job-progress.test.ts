import { expect, test } from 'vitest';
import { JobProgressView } from '../../../src/cli/job-progress.ts';
import type { JobProgress } from '../../../src/jobs/messages.ts';

function view(terminal: { isTTY?: boolean; columns?: number }) {
  const written: string[] = [];
  let ms = 0;
  const shown = new JobProgressView({ ...terminal, write: (text) => written.push(text) }, () => ms);
  const progress = (done: number, change: Partial<JobProgress> = {}): JobProgress => ({
    phase: 'scoring',
    rows: 20_000_000,
    done,
    resumed: 0,
    rejected: 0,
    ...change,
  });
  return { written, shown, progress, pass: (more: number) => (ms += more) };
}

test('a terminal has a bar with rate and time left, on one line however narrow it is', () => {
  const { written, shown, progress, pass } = view({ isTTY: true, columns: 60 });
  shown.show(progress(0));
  pass(1000);
  shown.show(progress(5_000_000, { rejected: 1234 }));
  expect(written[1]).toContain('[###.........] 5,000,000 of 20,000,000 rows (25 %)');
  for (const text of written) expect(text.replace('\r\x1b[K', '').length).toBeLessThan(60);
  const wide = view({ isTTY: true, columns: 200 });
  wide.shown.show(wide.progress(0));
  wide.pass(1000);
  wide.shown.show(wide.progress(5_000_000, { rejected: 1234 }));
  expect(wide.written[1]).toMatch(/1,234 rejected, 5,000,000 rows\/s, 3 s left$/);
});

test('what an earlier run did is no part of the rate', () => {
  const { written, shown, progress, pass } = view({ isTTY: true, columns: 200 });
  shown.show(progress(10_000_000, { resumed: 10_000_000 }));
  pass(1000);
  shown.show(progress(11_000_000, { resumed: 10_000_000 }));
  expect(written[1]).toMatch(/1,000,000 rows\/s, 9 s left$/);
});

test('elsewhere there are plain lines, of each phase and every ten seconds', () => {
  const { written, shown, progress, pass } = view({});
  shown.show(progress(0, { phase: 'reading' }));
  shown.show(progress(0));
  pass(9_999);
  shown.show(progress(1));
  pass(1);
  shown.show(progress(2_000_000));
  shown.show(progress(20_000_000, { phase: 'writing' }));
  expect(written).toEqual([
    'reading the input\n',
    '0 of 20,000,000 rows (0 %)\n',
    '2,000,000 of 20,000,000 rows (10 %), 200,000 rows/s, 1 min 30 s left\n',
    'writing the scores\n',
  ]);
});
