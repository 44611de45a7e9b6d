// Whether what lies on disk is what is served already.
import { isDeepStrictEqual } from 'node:util';
import type { ModelSpec } from './model.ts';

/** By content, and by all that the model's folder says of it; where it lies doesn't matter. */
export function sameModel(a: ModelSpec, b: ModelSpec): boolean {
  return a.digest === b.digest && isDeepStrictEqual(aboutOf(a), aboutOf(b));
}

/** The graph's own bytes are in the digest, and where they are read from says nothing of them. */
function aboutOf({ source: _source, directory: _directory, file: _file, ...about }: ModelSpec): unknown {
  return about;
}
