import { expect, test } from 'vitest';
import { TraceSettings } from '../../../src/inference/trace-settings.ts';

function changes(values: Readonly<Record<string, readonly string[]>>): Map<string, { value: string[] }> {
  return new Map(Object.entries(values).map(([name, value]) => [name, { value: [...value] }]));
}

function answered(settings: TraceSettings, model = ''): Record<string, string[]> {
  return Object.fromEntries([...settings.read(model).settings].map(([name, { value }]) => [name, value]));
}

/** With the ratios that were set. */
function traced(ratio: number): { settings: TraceSettings; ratios: number[] } {
  const ratios: number[] = [];
  return { settings: new TraceSettings(ratio, (set) => ratios.push(set)), ratios };
}

const REST = { trace_count: ['-1'], log_frequency: ['0'], trace_file: [''], trace_mode: ['triton'] };

test.each([
  [0, { trace_level: ['OFF'], trace_rate: ['1000'] }],
  [1, { trace_level: ['TIMESTAMPS'], trace_rate: ['1'] }],
  [0.02, { trace_level: ['TIMESTAMPS'], trace_rate: ['50'] }],
])('begin as the server was started: a share of %d', (ratio, expected) => {
  expect(answered(traced(ratio).settings)).toEqual({ ...REST, ...expected });
});

test('level and rate change what is traced; taken back, it is as at the start', () => {
  const { settings, ratios } = traced(0.3);
  settings.update('', changes({ trace_rate: ['4'] }));
  settings.update('', changes({ trace_level: ['OFF'] }));
  settings.update('', changes({ trace_level: ['TENSORS', 'TIMESTAMPS', 'TENSORS'] }));
  expect(answered(settings)).toMatchObject({ trace_level: ['TIMESTAMPS', 'TENSORS'], trace_rate: ['4'] });
  settings.update('', changes({ trace_rate: ['0'] }));
  settings.update('', changes({ trace_level: [], trace_rate: [] }));
  expect(ratios).toEqual([0.25, 0, 0.25, 0, 0.3]);
  expect(answered(settings)).toMatchObject({ trace_level: ['TIMESTAMPS'], trace_rate: ['3'] });
});

test("a model's own go before those of all, and change no other", () => {
  const { settings, ratios } = traced(1);
  settings.update('simple', changes({ trace_rate: ['7'], log_frequency: ['2'] }));
  settings.update('', changes({ trace_rate: ['9'], trace_count: ['5'] }));
  expect(answered(settings, 'simple')).toMatchObject({ trace_rate: ['7'], log_frequency: ['2'], trace_count: ['5'] });
  expect(answered(settings, 'other')).toMatchObject({ trace_rate: ['9'], log_frequency: ['0'], trace_count: ['5'] });
  settings.update('simple', changes({ trace_rate: [], log_frequency: [] }));
  expect(answered(settings, 'simple')).toEqual(answered(settings));
  expect(ratios).toEqual([1 / 9]);
});

test.each([
  [{ trace_file: ['x'] }, 'unimplemented', 'trace file location can not be updated through network protocol'],
  [{ trace_level: ['OFF', 'TENSORS'] }, 'invalid_argument', "Expect only one trace level 'OFF' is specified"],
  [{ trace_level: ['ALL'] }, 'invalid_argument', "unknown trace level 'ALL'; there are OFF, TIMESTAMPS, TENSORS"],
  [{ trace_rate: ['often'] }, 'invalid_argument', "Unable to parse 'trace_rate', got: often"],
  [{ trace_rate: ['1', '2'] }, 'invalid_argument', "expect only 1 value for 'trace_rate'"],
  [
    { log_frequency: ['-1'] },
    'invalid_argument',
    "Unable to parse 'log_frequency', value is out of range [ 0, 4294967295 ], got: -1",
  ],
  [
    { trace_count: ['2147483648'] },
    'invalid_argument',
    "Unable to parse 'trace_count', value is out of range [ -1, 2147483647 ], got: 2147483648",
  ],
  [{ trace_mode: ['opentelemetry'] }, 'invalid_argument', "trace setting 'trace_mode' can not be changed"],
  [{ trace: ['x'] }, 'invalid_argument', "unknown trace setting 'trace'"],
  [{ valueOf: ['x'] }, 'invalid_argument', "unknown trace setting 'valueOf'"],
] as const)('refuses %j, and changes nothing', (values, kind, message) => {
  const { settings, ratios } = traced(1);
  const before = answered(settings);
  const act = () => settings.update('', changes({ trace_count: ['3'], ...values }));
  expect(act).toThrow(expect.objectContaining({ kind, message }));
  expect(answered(settings)).toEqual(before);
  expect(ratios).toEqual([]);
});
