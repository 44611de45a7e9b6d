// Settings from defaults, file, environment and flags, in this order, the later ones winning: checked whole, frozen, each
// with its origin.

import { SetupError } from '../errors.ts';
import { contradictions } from './contradictions.ts';
import { type SettingEntry, type Settings, settingEntries } from './settings.ts';
import { CONFIG_VARIABLE, type Given, givenByEnvironment, givenByFile, givenByFlags, show } from './sources.ts';

/** `default`, `file PATH`, `environment NAME`, `flag --port` or `flag --set`. */
export type Origin = string;

export type LoadedSettings = {
  readonly settings: Settings;
  /** By key (`server.http_port`), in the order of the table. */
  readonly origins: ReadonlyMap<string, Origin>;
};

export type SettingSources = {
  /** YAML file; absent: the one that the variable SCOREWIRE_CONFIG names, if it is set. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * Short flags in camelCase as command-line parsers give them (`httpPort` for `--http-port`), and `set`: a list of
   * `key=value`. Names that belong to no setting are left to the caller.
   */
  readonly flags: Readonly<Record<string, unknown>>;
};

/** @throws SetupError with every mistake in the sources, one a line. */
export function loadSettings(sources: SettingSources): LoadedSettings {
  const problems: string[] = [];
  const file = sources.file ?? (sources.env[CONFIG_VARIABLE] || undefined);
  const layers = [
    file === undefined ? [] : givenByFile(file, problems),
    givenByEnvironment(sources.env, problems),
    givenByFlags(sources.flags, problems),
  ];

  const values = new Map<string, { value: unknown; origin: Origin }>();
  for (const [key, { setting }] of settingEntries) values.set(key, { value: setting.default, origin: 'default' });
  for (const layer of layers) {
    const firstOrigins = new Map<string, Origin>();
    for (const given of layer) {
      const { key, origin } = given;
      const before = firstOrigins.get(key);
      if (before !== undefined) problems.push(`${key}: given twice, in ${before} and in ${origin}`);
      firstOrigins.set(key, origin);
      // Checked even where a later source overrides it: a mistake that waits for its day is still one.
      const checked = check(given, settingEntries.get(key) as SettingEntry);
      if ('problem' in checked) problems.push(checked.problem);
      else values.set(key, { value: checked.value, origin });
    }
  }

  const settings = assemble(values);
  const told = (key: string): string => {
    const { value, origin } = values.get(key) as { value: unknown; origin: Origin };
    return `${key} = ${show(value)} (${origin})`;
  };
  // With a wrong value left out its default stands in, and would be accused of what it didn't do.
  if (problems.length === 0) problems.push(...contradictions(settings, told));
  if (problems.length > 0) throw new SetupError(problems.join('\n'));
  return { settings, origins: new Map([...values].map(([key, { origin }]) => [key, origin])) };
}

function check(given: Given, { key, setting }: SettingEntry): { value: unknown } | { problem: string } {
  for (const candidate of given.isText ? readings(String(given.value)) : [given.value ?? undefined]) {
    const result = setting.type.safeParse(candidate);
    if (result.success) return { value: result.data };
  }
  return { problem: `${key}: found ${show(given.value)} in ${given.origin}; allowed is ${setting.allowed}` };
}

/** What a text from the environment or a flag may stand for, the more special first. */
function readings(text: string): unknown[] {
  const trimmed = text.trim();
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed) ? [Number(trimmed), trimmed] : [trimmed];
}

function assemble(values: ReadonlyMap<string, { value: unknown }>): Settings {
  const settings: Record<string, Record<string, unknown>> = {};
  for (const [key, { place }] of settingEntries) {
    const [section, name] = place;
    settings[section] ??= {};
    settings[section][name] = values.get(key)?.value;
  }
  for (const section of Object.values(settings)) Object.freeze(section);
  return Object.freeze(settings) as Settings;
}
