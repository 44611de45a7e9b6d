// LogSettings: which lines the log has, in Triton's words. The levels are the log's own; the rest is kept and answered.
import { ScorewireError } from '../errors.ts';
import type { LogSettingsRequest_SettingValue, LogSettingsResponse } from '../gen/inference/inference.ts';
import { refusedSetting, shownText } from './refused-setting.ts';

type Settings = {
  log_file: string;
  log_info: boolean;
  log_warning: boolean;
  log_error: boolean;
  log_verbose_level: number;
  log_format: string;
};

type Name = keyof Settings;

/** What a setting's value must be, in the words of the error. */
const KINDS: Readonly<Record<Name, { choice: 'boolParam' | 'uint32Param' | 'stringParam'; kind: string }>> = {
  log_file: { choice: 'stringParam', kind: 'string' },
  log_info: { choice: 'boolParam', kind: 'boolean' },
  log_warning: { choice: 'boolParam', kind: 'boolean' },
  log_error: { choice: 'boolParam', kind: 'boolean' },
  log_verbose_level: { choice: 'uint32Param', kind: 'int32' },
  log_format: { choice: 'stringParam', kind: 'string' },
};

/** Levels from the one with the most lines down. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

export class LogSettings {
  readonly #log: { level: string };
  #settings: Settings;

  /** @param log whose level is read, and changed by `update` */
  constructor(log: { level: string }) {
    this.#log = log;
    const includes = (level: string) => LEVELS.indexOf(log.level) <= LEVELS.indexOf(level);
    this.#settings = {
      log_file: '',
      log_info: includes('info'),
      log_warning: includes('warn'),
      log_error: includes('error'),
      log_verbose_level: includes('trace') ? 2 : includes('debug') ? 1 : 0,
      log_format: 'default',
    };
  }

  read(): LogSettingsResponse {
    const settings = Object.entries(this.#settings).map(([name, value]) => {
      const { choice } = KINDS[name as Name];
      return [name, { parameterChoice: { $case: choice, value } }] as const;
    });
    return { settings: new Map(settings) as LogSettingsResponse['settings'] };
  }

  /**
   * Changes all of `changes`, or nothing.
   * @throws ScorewireError INVALID_ARGUMENT, UNIMPLEMENTED for the file
   */
  update(changes: ReadonlyMap<string, LogSettingsRequest_SettingValue>): void {
    const settings: Settings = { ...this.#settings };
    for (const [name, { parameterChoice }] of changes) {
      if (!Object.hasOwn(KINDS, name)) throw refusedSetting(name, `unknown log setting '${shownText(name)}'`);
      if (name === 'log_file') {
        const message = 'log file location can not be updated through network protocol';
        throw new ScorewireError('unimplemented', 'SETTING_FIXED', message, { metadata: { setting: name } });
      }
      const { choice, kind } = KINDS[name as Name];
      if (parameterChoice?.$case !== choice) throw refusedSetting(name, `expect ${kind} for '${name}'`);
      const { value } = parameterChoice;
      if (name === 'log_format' && value !== 'default' && value !== 'ISO8601') {
        throw refusedSetting(name, `invalid argument for log_format, got: ${shownText(String(value))}`);
      }
      Object.assign(settings, { [name]: value });
    }
    const changed = levelOf(settings) !== levelOf(this.#settings);
    this.#settings = settings;
    // What says the same as before leaves a level alone that has no word in these settings.
    if (changed) this.#log.level = levelOf(settings);
  }
}

/** The log has every line from one level on, so that the lowest one wanted decides. */
function levelOf({ log_verbose_level, log_info, log_warning, log_error }: Settings): string {
  if (log_verbose_level > 0) return log_verbose_level > 1 ? 'trace' : 'debug';
  if (log_info) return 'info';
  if (log_warning) return 'warn';
  return log_error ? 'error' : 'fatal';
}
