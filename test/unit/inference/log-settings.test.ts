import { describe, expect, test } from 'vitest';
import type { LogSettingsRequest_SettingValue } from '../../../src/gen/inference/inference.ts';
import { LogSettings } from '../../../src/inference/log-settings.ts';

type Value = boolean | number | string | undefined;

function changes(values: Readonly<Record<string, Value>>): Map<string, LogSettingsRequest_SettingValue> {
  return new Map(Object.entries(values).map(([name, value]) => [name, toMessage(value)]));
}

function toMessage(value: Value): LogSettingsRequest_SettingValue {
  if (typeof value === 'boolean') return { parameterChoice: { $case: 'boolParam', value } };
  if (typeof value === 'number') return { parameterChoice: { $case: 'uint32Param', value } };
  return value === undefined ? {} : { parameterChoice: { $case: 'stringParam', value } };
}

function answered(settings: LogSettings): Record<string, Value> {
  return Object.fromEntries(
    [...settings.read().settings].map(([name, { parameterChoice }]) => [name, parameterChoice?.value]),
  );
}

test.each([
  ['trace', { log_info: true, log_warning: true, log_error: true, log_verbose_level: 2 }],
  ['debug', { log_info: true, log_warning: true, log_error: true, log_verbose_level: 1 }],
  ['info', { log_info: true, log_warning: true, log_error: true, log_verbose_level: 0 }],
  ['warn', { log_info: false, log_warning: true, log_error: true, log_verbose_level: 0 }],
  ['error', { log_info: false, log_warning: false, log_error: true, log_verbose_level: 0 }],
  ['silent', { log_info: false, log_warning: false, log_error: false, log_verbose_level: 0 }],
])('begin as the log is: %s', (level, expected) => {
  const settings = new LogSettings({ level });
  expect(answered(settings)).toEqual({ log_file: '', log_format: 'default', ...expected });
});

test.each([
  [{ log_verbose_level: 1 }, 'debug'],
  [{ log_verbose_level: 9 }, 'trace'],
  [{ log_info: false }, 'warn'],
  [{ log_info: false, log_warning: false }, 'error'],
  [{ log_info: false, log_warning: false, log_error: false }, 'fatal'],
  // The log can't leave out what is in between.
  [{ log_warning: false }, 'info'],
])('%j: the log has lines from %s on, and the answer says what was asked for', (values, level) => {
  const log = { level: 'info' };
  const settings = new LogSettings(log);
  settings.update(changes(values));
  expect(log.level).toBe(level);
  expect(answered(settings)).toMatchObject(values);
});

test('and back', () => {
  const log = { level: 'info' };
  const settings = new LogSettings(log);
  settings.update(changes({ log_verbose_level: 1 }));
  settings.update(changes({ log_verbose_level: 0 }));
  expect(log.level).toBe('info');
});

test('what changes no level leaves the log as it is', () => {
  const log = { level: 'silent' };
  const settings = new LogSettings(log);
  settings.update(changes({ log_format: 'ISO8601' }));
  expect(log.level).toBe('silent');
  expect(answered(settings)).toMatchObject({ log_format: 'ISO8601' });
});

describe('refuses', () => {
  test.each([
    [{ log_file: 'x.log' }, 'unimplemented', 'log file location can not be updated through network protocol'],
    [{ log_info: 1 }, 'invalid_argument', "expect boolean for 'log_info'"],
    [{ log_warning: 'no' }, 'invalid_argument', "expect boolean for 'log_warning'"],
    [{ log_error: undefined }, 'invalid_argument', "expect boolean for 'log_error'"],
    [{ log_verbose_level: true }, 'invalid_argument', "expect int32 for 'log_verbose_level'"],
    [{ log_format: true }, 'invalid_argument', "expect string for 'log_format'"],
    [{ log_format: 'xml' }, 'invalid_argument', 'invalid argument for log_format, got: xml'],
    [{ log_inf: false }, 'invalid_argument', "unknown log setting 'log_inf'"],
    [{ constructor: false }, 'invalid_argument', "unknown log setting 'constructor'"],
  ] as const)('%j, and changes nothing', (values, kind, message) => {
    const log = { level: 'info' };
    const settings = new LogSettings(log);
    const before = answered(settings);
    const act = () => settings.update(changes({ log_verbose_level: 1, ...values }));
    expect(act).toThrow(expect.objectContaining({ kind, message }));
    expect(answered(settings)).toEqual(before);
    expect(log.level).toBe('info');
  });
});
