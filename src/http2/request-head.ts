// The headers of one request, checked as RFC 9113 (8.3.1) wants them.
import { type Field, FieldKind } from './header-decoder.ts';

/** Requests with the same headers may share one: it never changes. */
export class RequestHead {
  readonly method: string;
  readonly path: string;
  /** Bytes of the body as the client announced them; -1 where it didn't. */
  readonly contentLength: number;
  readonly #fields: readonly Field[];

  private constructor(method: string, path: string, contentLength: number, fields: readonly Field[]) {
    this.method = method;
    this.path = path;
    this.contentLength = contentLength;
    this.#fields = fields;
  }

  /** Undefined for what is no HTTP/2 request. */
  static of(fields: readonly Field[]): RequestHead | undefined {
    let method: string | undefined;
    let scheme: string | undefined;
    let path: string | undefined;
    let authority: string | undefined;
    let contentLength = -1;
    let regular = false;
    for (const { kind, value } of fields) {
      if (kind === FieldKind.regular) {
        regular = true;
        continue;
      }
      if (kind === FieldKind.contentLength) {
        if (contentLength >= 0 && contentLength !== Number(value)) return undefined;
        contentLength = Number(value);
        regular = true;
        continue;
      }
      // Pseudo-headers come first, each once.
      if (regular || kind === FieldKind.forbidden) return undefined;
      if (kind === FieldKind.method && method === undefined) method = value;
      else if (kind === FieldKind.scheme && scheme === undefined) scheme = value;
      else if (kind === FieldKind.path && path === undefined) path = value;
      else if (kind === FieldKind.authority && authority === undefined) authority = value;
      else return undefined;
    }
    if (method === undefined || scheme === undefined || path === undefined || path === '') return undefined;
    return new RequestHead(method, path, contentLength, fields);
  }

  /** The value of a header, the first where there are more; undefined where there is none. */
  get(name: string): string | undefined {
    const fields = this.#fields;
    for (let index = 0; index < fields.length; index++) {
      const field = fields[index] as Field;
      if (field.name === name) return field.value;
    }
    return undefined;
  }
}

/** Whether these may come after a body: no pseudo-headers, nothing forbidden. */
export function areTrailers(fields: readonly Field[]): boolean {
  return fields.every(({ kind }) => kind === FieldKind.regular || kind === FieldKind.contentLength);
}
