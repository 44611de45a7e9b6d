import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pages } from '../../../tools/docs.ts';

test.each(Object.entries(pages))('%s says what the code says; npm run docs makes it anew', (path, text) => {
  expect(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')).toBe(text);
});
