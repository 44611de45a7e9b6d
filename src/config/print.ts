// The settings for people: what is in force and why, and the reference page.

import { z } from 'zod';
import type { LoadedSettings } from './load.ts';
import { type SettingEntry, settingEntries } from './settings.ts';

function valueText(value: unknown): string {
  return value === undefined ? '-' : String(value);
}

/** Key, value and origin of every setting, one a line, aligned; `-` where there is no value. There are no secrets. */
export function printConfig({ settings, origins }: LoadedSettings): string {
  const rows = [...settingEntries.values()].map(({ key, place: [section, name] }) => {
    const values: Record<string, unknown> = settings[section as keyof typeof settings];
    return [key, valueText(values[name]), origins.get(key) ?? ''] as const;
  });
  const keyWidth = Math.max(...rows.map(([key]) => key.length));
  const valueWidth = Math.max(...rows.map(([, value]) => value.length));
  return rows
    .map(([key, value, origin]) => `${key.padEnd(keyWidth)}  ${value.padEnd(valueWidth)}  ${origin}\n`)
    .join('');
}

/** The short flags, for the command line's own help; `doc` says the default as well. */
export function flagHelp(): { flag: string; doc: string; key: string }[] {
  return [...settingEntries.values()].flatMap(({ key, setting: { flag, doc, default: value } }) => {
    if (flag === undefined) return [];
    return [{ flag, doc: value === undefined ? doc : `${doc.replace(/\.$/, '')} (default: ${value}).`, key }];
  });
}

/** A Markdown table a section, for the reference page. */
export function settingsMarkdown(): string {
  const bySection = Map.groupBy(settingEntries.values(), ({ key }) => key.slice(0, key.indexOf('.')));
  return [...bySection]
    .map(([section, entries]) => {
      const head = '| key | default | allowed | meaning |\n|---|---|---|---|\n';
      return `## ${section}\n\n${head}${entries.map(markdownRow).join('')}`;
    })
    .join('\n');
}

function markdownRow({ key, setting }: SettingEntry): string {
  const unit = setting.unit === undefined ? '' : ` ${setting.unit}`;
  const value = setting.default === undefined ? 'absent' : `\`${setting.default}\`${unit}`;
  const doc = setting.flag === undefined ? setting.doc : `${setting.doc} Flag: \`${setting.flag}\`.`;
  return `| \`${key}\` | ${value} | ${setting.allowed} | ${doc} |\n`;
}

/** JSON schema of a settings file in its nested form, for editors. */
export function settingsJsonSchema(): Record<string, unknown> {
  const sections: Record<string, Record<string, z.ZodType>> = {};
  for (const { key, setting } of settingEntries.values()) {
    const [section, name] = key.split('.') as [string, string];
    const description = setting.unit === undefined ? setting.doc : `${setting.doc} Unit: ${setting.unit}.`;
    sections[section] ??= {};
    sections[section][name] = setting.type.optional().meta({ description, default: setting.default });
  }
  const shape = Object.fromEntries(
    Object.entries(sections).map(([section, settings]) => [section, z.strictObject(settings).optional()]),
  );
  return z.toJSONSchema(z.strictObject(shape)) as Record<string, unknown>;
}
