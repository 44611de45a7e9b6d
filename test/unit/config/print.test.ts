import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../../src/config/load.ts';
import { flagHelp, printConfig, settingsJsonSchema, settingsMarkdown } from '../../../src/config/print.ts';
import { settingEntries } from '../../../src/config/settings.ts';
import { flagName } from '../../../src/config/sources.ts';

describe('printConfig', () => {
  it('has key, value and origin of every setting in columns', () => {
    const text = printConfig(loadSettings({ env: { SCOREWIRE_SERVER_PORT: '9000' }, flags: { httpPort: 'off' } }));
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => line.split(' ')[0])).toEqual([...settingEntries.keys()]);
    expect(lines.find((line) => line.startsWith('server.port'))).toMatch(/ 9000 +environment SCOREWIRE_SERVER_PORT$/);
    expect(lines.find((line) => line.startsWith('server.http_port'))).toMatch(/ off +flag --http-port$/);
    expect(lines.find((line) => line.startsWith('tls.cert'))).toMatch(/ - +default$/);
    expect(new Set(lines.map((line) => line.search(/ (default|environment|flag)/))).size).toBe(1);
  });
});

describe('the flags', () => {
  it('are short names of settings, each once, in the form that parsers give', () => {
    const flags = flagHelp().map(({ flag }) => flag);
    expect(flags).toEqual(
      expect.arrayContaining(['--host', '--port', '--http-port', '--models', '--workers', '--tls-client-ca']),
    );
    expect(new Set(flags).size).toBe(flags.length);
    expect(flagName('--tls-client-ca')).toBe('tlsClientCa');
  });
});

describe('the reference', () => {
  it('has a row for every setting, in Markdown', () => {
    const text = settingsMarkdown();
    for (const { key, setting } of settingEntries.values()) {
      expect(text).toContain(`| \`${key}\` |`);
      expect(text).toContain(setting.doc);
    }
    expect(text).toContain('| `limits.max_message_bytes` | `4194304` bytes |');
  });

  it('has every setting in the JSON schema, and nothing else is allowed', () => {
    type Schema = { properties: Record<string, Schema>; additionalProperties?: false; default?: unknown };
    const schema = settingsJsonSchema() as Schema;
    expect(schema.additionalProperties).toBe(false);
    const keys = Object.entries(schema.properties).flatMap(([section, { properties, additionalProperties }]) => {
      expect(additionalProperties).toBe(false);
      return Object.keys(properties).map((name) => `${section}.${name}`);
    });
    expect(keys).toEqual([...settingEntries.keys()]);
    expect(schema.properties.server?.properties.port).toEqual({
      description: 'Port for gRPC; 0 takes any free one.',
      default: 8001,
      type: 'integer',
      minimum: 0,
      maximum: 65535,
    });
  });
});

describe('the table', () => {
  it('has defaults that are allowed', () => {
    for (const { key, setting } of settingEntries.values()) {
      expect(setting.type.safeParse(setting.default).success, key).toBe(true);
    }
  });

  it('names units last and says what each setting does', () => {
    const endings = { ms: /_ms$/, seconds: /_seconds$/, bytes: /_bytes$/, rows: /_rows$/, calls: /./ };
    for (const { key, setting } of settingEntries.values()) {
      expect(setting.doc, key).toMatch(/^\S.*\.$/);
      if (setting.unit !== undefined) expect(key).toMatch(endings[setting.unit as keyof typeof endings]);
    }
  });
});
