// Element types by the names that requests have for them.
import type { DataType } from '../tensor.ts';
import { DATATYPES } from './datatypes.ts';

const TYPES: ReadonlyMap<string, DataType> = new Map(
  (Object.keys(DATATYPES) as DataType[]).map((type) => [DATATYPES[type], type]),
);

/** Undefined for a type that no model here has. */
export function typeNamed(datatype: string): DataType | undefined {
  return TYPES.get(datatype);
}

/** The name, if there is such a type at all. */
export function knownDatatype(datatype: string): string {
  return TYPES.has(datatype) || datatype === 'BF16' ? datatype : '<invalid>';
}
