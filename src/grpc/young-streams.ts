// Keeps what a call leaves behind out of V8's old generation.
//
// Node's WritableState makes a closure for each stream by `this.onwrite = (er) => onwrite(stream, er)`. V8 allocates a
// function literal that is assigned to a property in the old generation (it takes it for a method that stays), as long as
// the code around is not optimized. An old object keeps alive what it refers to until the next mark-compact: the stream,
// and by it all 5 to 7 KB of the call, which every scavenge then copies and promotes, until a mark-compact of 50 to 230 ms
// takes them away. So this puts another WritableState in the original's place, which makes the same closure by way of a
// variable: young, and gone with its call.
//
// An HTTP/2 session's Map of its streams does the same in another way: each time that a Map grows or shrinks, the old
// table keeps its entries and points to the new one. One table that got old keeps all that come after it, and the streams
// that were open at each of these times. So a session gets tables that are written in place.
import type { Http2Session } from 'node:http2';
import { Writable } from 'node:stream';

type WritableState = { onwrite: (error?: Error | null) => void };
type WritableStateConstructor = {
  new (options: unknown, stream: unknown, isDuplex: boolean): WritableState;
  call(self: unknown, options: unknown, stream: unknown, isDuplex: boolean): void;
  prototype: WritableState;
};
/** All that WritableState reads of its options. */
type WritableOptions = {
  objectMode?: boolean;
  writableObjectMode?: boolean;
  highWaterMark?: number;
  writableHighWaterMark?: number;
  defaultEncoding?: string;
  decodeStrings?: boolean;
  emitClose?: boolean;
  autoDestroy?: boolean;
};
type OnWrite = (stream: unknown, error?: Error | null) => void;

/** The one use that the constructor may make of its stream, for it to be replaced. */
const CLOSURE = /this\.onwrite = \(er\) => onwrite\(stream, er\);/;

let outcome: Promise<boolean> | undefined;

/**
 * From now on Node's duplex streams (HTTP/2 streams and sockets are some) leave nothing old behind. Returns whether that
 * is so: a Node whose streams are made otherwise, or one without an inspector, is left as it is.
 */
export function keepStreamsYoung(): Promise<boolean> {
  outcome ??= replaceWritableState();
  return outcome;
}

async function replaceWritableState(): Promise<boolean> {
  const holder = Writable as unknown as { WritableState: WritableStateConstructor };
  const Original = holder.WritableState;
  const source = Function.prototype.toString.call(Original);
  if (!CLOSURE.test(source) || source.replace(CLOSURE, '').match(/\bstream\b/g)?.length !== 1) return false;
  const onwrite = await functionInScope(new Original({}, undefined, true).onwrite, 'onwrite');
  if (onwrite === undefined) return false;

  const templates = new Map<number, [keys: string[], values: unknown[]]>();
  const templateOf = (options: WritableOptions, kind: number, isDuplex: boolean) => {
    const state = new Original(options, undefined, isDuplex) as unknown as Record<string, unknown>;
    const keys = Reflect.ownKeys(state) as string[];
    const template: [string[], unknown[]] = [keys, keys.map((key) => state[key])];
    templates.set(kind, template);
    return template;
  };

  function YoungWritableState(
    this: WritableState,
    options: WritableOptions | undefined,
    stream: unknown,
    isDuplex: boolean,
  ): void {
    const young = (error?: Error | null) => (onwrite as OnWrite)(stream, error);
    const kind = kindOf(options, isDuplex);
    if (kind === undefined) {
      // Its closure is made all the same, but refers to nothing.
      Original.call(this, options, undefined, isDuplex);
    } else {
      const [keys, values] = templates.get(kind) ?? templateOf(options as WritableOptions, kind, isDuplex);
      const fields = this as unknown as Record<string, unknown>;
      for (let i = 0; i < keys.length; i++) fields[keys[i] as string] = values[i];
    }
    this.onwrite = young;
  }
  YoungWritableState.prototype = Original.prototype;
  holder.WritableState = YoungWritableState as unknown as WritableStateConstructor;
  return true;
}

/**
 * A number for all options by which WritableState makes the same state; undefined for those that are rare, or that have a
 * value which is not a switch.
 */
function kindOf(options: WritableOptions | undefined, isDuplex: boolean): number | undefined {
  if (
    options == null ||
    options.objectMode ||
    options.writableObjectMode ||
    options.highWaterMark != null ||
    options.writableHighWaterMark != null ||
    options.defaultEncoding != null
  ) {
    return undefined;
  }
  return (
    (isDuplex ? 1 : 0) |
    (options.decodeStrings === false ? 2 : 0) |
    (options.emitClose === false ? 4 : 0) |
    (options.autoDestroy === false ? 8 : 0)
  );
}

/** The function that `closure` knows as `name`. Only a debugger can look into a closure. */
async function functionInScope(closure: unknown, name: string): Promise<OnWrite | undefined> {
  const inspector = await import('node:inspector').catch(() => undefined);
  if (inspector === undefined) return undefined;
  const session = new inspector.Session();
  const shared = globalThis as { [SHARED]?: unknown };
  try {
    session.connect();
    // In its own thread a session answers before `post` returns.
    const post = (method: string, params: object): unknown => {
      let answer: unknown;
      session.post(method, params, (error: Error | null, result: unknown) => {
        if (error !== null) throw error;
        answer = result;
      });
      return answer;
    };
    const properties = (objectId: string) =>
      post('Runtime.getProperties', { objectId, ownProperties: true }) as {
        result: Property[];
        internalProperties?: Property[];
      };
    shared[SHARED] = closure;
    const evaluated = post('Runtime.evaluate', { expression: `globalThis[Symbol.for('${KEY}')]` }) as {
      result: RemoteObject;
    };
    const { internalProperties = [] } = properties(evaluated.result.objectId as string);
    const scopes = internalProperties.find((property) => property.name === '[[Scopes]]')?.value?.objectId;
    if (scopes === undefined) return undefined;
    for (const { value: scope } of properties(scopes).result) {
      if (scope?.objectId === undefined) continue;
      const found = properties(scope.objectId).result.find((property) => property.name === name)?.value;
      if (found?.type !== 'function') continue;
      const functionDeclaration = `function () { globalThis[Symbol.for('${KEY}')] = this; }`;
      post('Runtime.callFunctionOn', { objectId: found.objectId, functionDeclaration });
      return shared[SHARED] as OnWrite;
    }
    return undefined;
  } catch {
    return undefined;
  } finally {
    delete shared[SHARED];
    session.disconnect();
  }
}

/** A Map that holds its values in one array, and so leaves no tables with values behind. */
class SlotMap<Key, Value> {
  readonly #slots: (Value | undefined)[] = [];
  readonly #free: number[] = [];
  /** Tables of numbers hold nothing alive. */
  readonly #slotOf = new Map<Key, number>();

  get size(): number {
    return this.#slotOf.size;
  }

  has(key: Key): boolean {
    return this.#slotOf.has(key);
  }

  get(key: Key): Value | undefined {
    const slot = this.#slotOf.get(key);
    return slot === undefined ? undefined : this.#slots[slot];
  }

  set(key: Key, value: Value): this {
    const slot = this.#slotOf.get(key) ?? this.#free.pop() ?? this.#slots.length;
    this.#slotOf.set(key, slot);
    this.#slots[slot] = value;
    return this;
  }

  delete(key: Key): boolean {
    const slot = this.#slotOf.get(key);
    if (slot === undefined) return false;
    this.#slotOf.delete(key);
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    return true;
  }

  forEach(visit: (value: Value, key: Key) => void): void {
    for (const [key, slot] of [...this.#slotOf])
      if (this.#slotOf.get(key) === slot) visit(this.#slots[slot] as Value, key);
  }

  values(): IterableIterator<Value> {
    return [...this.#slotOf.values()].map((slot) => this.#slots[slot] as Value).values();
  }
}

/** A Set of a few that come and go. */
class SlotSet<Value> {
  readonly #slots: Value[] = [];

  get size(): number {
    return this.#slots.length;
  }

  has(value: Value): boolean {
    return this.#slots.includes(value);
  }

  add(value: Value): this {
    if (!this.has(value)) this.#slots.push(value);
    return this;
  }

  delete(value: Value): boolean {
    const slot = this.#slots.indexOf(value);
    if (slot < 0) return false;
    this.#slots.splice(slot, 1);
    return true;
  }

  forEach(visit: (value: Value) => void): void {
    for (const value of [...this.#slots]) visit(value);
  }

  values(): IterableIterator<Value> {
    return [...this.#slots].values();
  }
}

/** Gives a new session, with no streams yet, tables that leave nothing old behind. A session that is made otherwise stays as it is. */
export function keepSessionYoung(session: Http2Session): void {
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state');
  const state = symbol && (session as unknown as Record<symbol, SessionState>)[symbol];
  // Node's own Map and Set have no prototype to ask for, but names.
  if (state?.streams?.constructor?.name !== 'SafeMap' || state.pendingStreams?.constructor?.name !== 'SafeSet') return;
  if (state.streams.size > 0 || state.pendingStreams.size > 0) return;
  state.streams = new SlotMap();
  state.pendingStreams = new SlotSet();
}

type SessionState = { streams?: Collection; pendingStreams?: Collection };
type Collection = { size: number; constructor?: { name: string } };

type RemoteObject = { type: string; objectId?: string };
type Property = { name: string; value?: RemoteObject };

const KEY = 'scorewire.closure';
const SHARED = Symbol.for(KEY);
