import { ScorewireError } from '../errors.ts';

/** A change of a setting that can't be made, with the words that clients know. */
export function refusedSetting(name: string, message: string): ScorewireError {
  const violations = [{ field: `settings["${shownText(name)}"]`, description: message }];
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, { violations });
}

/** What a caller sent, short enough for a message. */
export function shownText(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
