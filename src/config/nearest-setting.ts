// Guesses which setting somebody meant.

import { distance } from 'fastest-levenshtein';
import { type SettingEntry, settingEntries } from './settings.ts';

/** Takes `server.prot`, `SERVER_PROT`, `serverPort` and, for those who leave the section out, `httpPort`. */
export function nearestSetting(name: string): SettingEntry {
  const wanted = bare(name);
  const far = ({ key }: SettingEntry): number =>
    // Half a letter more for a name without its section, so that the full name wins a draw.
    Math.min(distance(wanted, bare(key)), distance(wanted, bare(key.slice(key.indexOf('.')))) + 0.5);
  return [...settingEntries.values()].reduce((best, entry) => (far(entry) < far(best) ? entry : best));
}

/** Only the letters and digits: people mix up dots, underscores and capitals, and mean the same. */
function bare(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}
