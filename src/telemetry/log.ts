// The log: JSON lines for machines, short lines for people. Written in this thread and at once, so that the last line
// before an exit is there.

import type { Writable } from 'node:stream';
import { styleText } from 'node:util';
import { type Logger as PinoLogger, pino } from 'pino';
import type { Settings } from '../config/settings.ts';

export type Logger = PinoLogger;

type Terminal = Writable & { isTTY?: boolean };

/** A logger that writes to `stream`; with the format `auto` pretty lines if the stream is a terminal. */
export function createLogger(log: Settings['log'], stream: Terminal = process.stdout): Logger {
  const isPretty = log.format === 'pretty' || (log.format === 'auto' && stream.isTTY === true);
  const options = {
    level: log.level,
    // Neither process id nor host: whoever gathers the logs of several processes knows where they come from.
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!isPretty) return pino(options, stream);
  return pino(options, { write: (line) => stream.write(prettyLine(JSON.parse(line) as LogLine, stream)) });
}

type LogLine = { level: string; time: string; msg?: string; err?: { stack?: string }; [key: string]: unknown };

type Style = Parameters<typeof styleText>[0];

const STYLES: Readonly<Record<string, Style>> = {
  trace: 'dim',
  debug: 'dim',
  info: 'green',
  warn: 'yellow',
  error: 'red',
  fatal: ['bold', 'red'],
};

/** `10:22:56.804 INFO  model ready model=churn version=3`, in local time, an error's stack below. */
function prettyLine({ level, time, msg, err, ...rest }: LogLine, stream: Terminal): string {
  // Node leaves the colours out where the stream is no terminal or NO_COLOR is set.
  const style = (name: Style, text: string) => styleText(name, text, { stream });
  const clock = new Date(time);
  const ms = String(clock.getMilliseconds()).padStart(3, '0');
  const words = [
    style('dim', `${clock.toTimeString().slice(0, 8)}.${ms}`),
    style(STYLES[level] ?? 'reset', level.toUpperCase().padEnd(5)),
    ...(msg === undefined ? [] : [msg]),
    ...Object.entries(rest).map(([key, value]) => style('dim', `${key}=`) + bare(value)),
  ];
  const stack = err === undefined ? '' : `${err.stack ?? JSON.stringify(err)}\n`.replace(/^(?=.)/gm, '    ');
  return `${words.join(' ')}\n${stack}`;
}

/** Without quotes where that can't be misread; JSON also keeps control characters off the terminal. */
function bare(value: unknown): string {
  return typeof value === 'string' && /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
}
