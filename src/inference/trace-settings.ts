// TraceSetting: how many calls are traced, in Triton's words. Whether and how often is followed where tracing was on at the
// start, for all models together; the rest is kept and answered.
import { ScorewireError } from '../errors.ts';
import type { TraceSettingRequest_SettingValue, TraceSettingResponse } from '../gen/inference/inference.ts';
import { refusedSetting, shownText } from './refused-setting.ts';

const LEVELS = ['TIMESTAMPS', 'TENSORS'];

const MAX_UINT32 = 2 ** 32 - 1;
const MAX_INT32 = 2 ** 31 - 1;

/** Smallest and largest value of those that are numbers. */
const RANGES: Readonly<Record<string, readonly [min: number, max: number]>> = {
  trace_rate: [0, MAX_UINT32],
  trace_count: [-1, MAX_INT32],
  log_frequency: [0, MAX_UINT32],
};

/** As Triton has it where nothing is said. */
const USUAL_RATE = 1000;

/** What was said by callers. */
type Changes = ReadonlyMap<string, readonly string[]>;

export class TraceSettings {
  readonly #ratio: number;
  readonly #setRatio: (ratio: number) => void;
  readonly #initial: Changes;
  #global: Changes = new Map();
  readonly #byModel = new Map<string, Changes>();

  /** @param ratio share of the calls that are traced from the start, 0 to 1; `setRatio` changes it */
  constructor(ratio: number, setRatio: (ratio: number) => void) {
    this.#ratio = ratio;
    this.#setRatio = setRatio;
    this.#initial = new Map([
      ['trace_level', [ratio > 0 ? 'TIMESTAMPS' : 'OFF']],
      ['trace_rate', [String(ratio > 0 ? Math.round(1 / ratio) : USUAL_RATE)]],
      ['trace_count', ['-1']],
      ['log_frequency', ['0']],
      ['trace_file', ['']],
      ['trace_mode', ['triton']],
    ]);
  }

  /** Those of a model, or with '' of all that have none of their own. */
  read(model: string): TraceSettingResponse {
    const settings = new Map([...this.#initial, ...this.#global, ...(this.#byModel.get(model) ?? [])]);
    return { settings: new Map([...settings].map(([name, value]) => [name, { value: [...value] }])) };
  }

  /**
   * Changes all of `changes`, or nothing; one without a value takes back what was said before.
   * @param model that is served; '' means all
   * @throws ScorewireError INVALID_ARGUMENT, UNIMPLEMENTED for the file
   */
  update(model: string, changes: ReadonlyMap<string, TraceSettingRequest_SettingValue>): void {
    const settings = new Map(model === '' ? this.#global : this.#byModel.get(model));
    for (const [name, { value }] of changes) {
      const checked = checkedValue(name, value);
      if (checked.length === 0) settings.delete(name);
      else settings.set(name, checked);
    }
    if (model === '') {
      this.#global = settings;
      this.#follow();
    } else if (settings.size === 0) {
      this.#byModel.delete(model);
    } else {
      this.#byModel.set(model, settings);
    }
  }

  #follow(): void {
    const [level] = this.#global.get('trace_level') ?? (this.#initial.get('trace_level') as readonly string[]);
    const rate = this.#global.get('trace_rate')?.[0];
    const ratio = rate === undefined ? this.#ratio : rate === '0' ? 0 : 1 / Number(rate);
    this.#setRatio(level === 'OFF' ? 0 : ratio);
  }
}

/** As it is kept. @throws ScorewireError */
function checkedValue(name: string, value: readonly string[]): readonly string[] {
  if (name === 'trace_file') {
    const message = 'trace file location can not be updated through network protocol';
    throw new ScorewireError('unimplemented', 'SETTING_FIXED', message, { metadata: { setting: name } });
  }
  if (name === 'trace_mode') throw refusedSetting(name, "trace setting 'trace_mode' can not be changed");
  if (name === 'trace_level') return checkedLevels(value);
  const range = Object.hasOwn(RANGES, name) ? RANGES[name] : undefined;
  if (range === undefined) throw refusedSetting(name, `unknown trace setting '${shownText(name)}'`);
  if (value.length > 1) throw refusedSetting(name, `expect only 1 value for '${name}'`);
  return value.map((text) => checkedNumber(name, text, range));
}

function checkedNumber(name: string, text: string, [min, max]: readonly [number, number]): string {
  const got = `got: ${shownText(text)}`;
  if (!/^[+-]?\d+$/.test(text)) throw refusedSetting(name, `Unable to parse '${name}', ${got}`);
  const number = Number(text);
  if (number >= min && number <= max) return String(number);
  throw refusedSetting(name, `Unable to parse '${name}', value is out of range [ ${min}, ${max} ], ${got}`);
}

function checkedLevels(levels: readonly string[]): readonly string[] {
  if (levels.includes('OFF') && levels.length > 1) {
    throw refusedSetting('trace_level', "Expect only one trace level 'OFF' is specified");
  }
  const unknown = levels.find((level) => level !== 'OFF' && !LEVELS.includes(level));
  if (unknown !== undefined) {
    const known = `OFF, ${LEVELS.join(', ')}`;
    throw refusedSetting('trace_level', `unknown trace level '${shownText(unknown)}'; there are ${known}`);
  }
  return levels[0] === 'OFF' ? levels : LEVELS.filter((level) => levels.includes(level));
}
