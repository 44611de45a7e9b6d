// Reads a settings file, the environment and the flags into one list of givens; what they mean is decided in load.ts.

import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { nearestSetting } from './nearest-setting.ts';
import { settingEntries } from './settings.ts';

/** A value that somebody set, not yet checked. */
export type Given = {
  readonly key: string;
  readonly value: unknown;
  /** The value is text because its source has nothing else; it may stand for a number. */
  readonly isText: boolean;
  /** `file PATH`, `environment NAME`, `flag --port`, `flag --set`. */
  readonly origin: string;
};

/** Names the settings file where no flag does; it is the only variable of ours that is no setting. */
export const CONFIG_VARIABLE = 'SCOREWIRE_CONFIG';

const sections = new Set([...settingEntries.keys()].map((key) => key.slice(0, key.indexOf('.'))));
const environmentKeys = new Map([...settingEntries.values()].map(({ environment, key }) => [environment, key]));

function unknown(origin: string, name: string, nearest: string): string {
  return `${origin}: there is no setting ${name}; did you mean ${nearest}?`;
}

/** What is in a YAML file, nested (`server: {port: 1}`) or dotted (`server.port: 1`). */
export function givenByFile(path: string, problems: string[]): Given[] {
  const origin = `file ${path}`;
  let content: unknown;
  try {
    content = parse(readFileSync(path, 'utf8'), { logLevel: 'error' });
  } catch (error) {
    // The first line says what and where; those that follow quote the file.
    const [line] = (error as Error).message.split('\n');
    problems.push(`${origin}: can't be read: ${line?.replace(/:$/, '')}`);
    return [];
  }
  const given: Given[] = [];
  const walk = (key: string, value: unknown): void => {
    if (settingEntries.has(key)) {
      given.push({ key, value, isText: false, origin });
    } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [name, inner] of Object.entries(value)) walk(key === '' ? name : `${key}.${name}`, inner);
    } else if (sections.has(key)) {
      if (value !== null) problems.push(`${origin}: ${key}: found ${show(value)}; allowed is a map of settings`);
    } else {
      problems.push(unknown(origin, key, nearestSetting(key).key));
    }
  };
  if (typeof content === 'object' && !Array.isArray(content)) walk('', content ?? {});
  else problems.push(`${origin}: found ${show(content)}; allowed is a map of settings`);
  return given;
}

// A Kubernetes service named scorewire, or scorewire-something, puts variables into every pod of its namespace.
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;

function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK.test(name) || /^(tcp|udp|sctp):\/\//.test(value);
}

/** What the SCOREWIRE_ variables say; an empty one counts as not set. */
export function givenByEnvironment(env: Readonly<Record<string, string | undefined>>, problems: string[]): Given[] {
  const given: Given[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('SCOREWIRE_') || name === CONFIG_VARIABLE) continue;
    if (value === undefined || value === '' || isServiceLink(name, value)) continue;
    const key = environmentKeys.get(name);
    if (key === undefined)
      problems.push(unknown('environment', name, nearestSetting(name.slice('SCOREWIRE_'.length)).environment));
    else given.push({ key, value, isText: true, origin: `environment ${name}` });
  }
  return given;
}

/** `--http-port` as command-line parsers name it: `httpPort`. */
export function flagName(flag: string): string {
  return flag.slice(2).replace(/-[a-z]/g, (part) => part.slice(1).toUpperCase());
}

/** What the short flags and `set` (a list of `key=value`) say. Other names belong to the caller. */
export function givenByFlags(flags: Readonly<Record<string, unknown>>, problems: string[]): Given[] {
  const given: Given[] = [];
  for (const { key, setting } of settingEntries.values()) {
    const value = setting.flag && flags[flagName(setting.flag)];
    if (value !== undefined) given.push({ key, value, isText: true, origin: `flag ${setting.flag}` });
  }
  for (const assignment of [flags.set ?? []].flat()) {
    const [key = '', ...rest] = String(assignment).split('=');
    const value = rest.join('=');
    if (!settingEntries.has(key)) problems.push(unknown('flag --set', key, nearestSetting(key).key));
    else if (value === '') problems.push(`flag --set ${assignment}: found no value; allowed is ${key}=VALUE`);
    else given.push({ key, value, isText: true, origin: 'flag --set' });
  }
  return given;
}

/** A value as messages quote it: text in quotes, on one line, cut where it gets long. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  const text = typeof value === 'object' || typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
