// Keeps what a call leaves behind out of V8's old generation.
//
// Node's WritableState makes a closure for each stream by `this.onwrite = (er) => onwrite(stream, er)`. V8 allocates a
// function literal that is assigned to a property in the old generation (it takes it for a method that stays), as long as
// the code around is not optimized. An old object keeps alive what it refers to until the next mark-compact: the stream,
// and by it all 5 to 7 KB of the call, which every scavenge then copies and promotes, until a mark-compact of 50 to 230 ms
// takes them away. So this puts another WritableState in the original's place, which makes the same closure by way of a
// variable: young, and gone with its call.
import { Writable } from 'node:stream';

type WritableState = { onwrite: (error?: Error | null) => void };
type WritableStateConstructor = {
  new (options: unknown, stream: unknown, isDuplex: boolean): WritableState;
  call(self: unknown, options: unknown, stream: unknown, isDuplex: boolean): void;
  prototype: WritableState;
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

  function YoungWritableState(this: WritableState, options: unknown, stream: unknown, isDuplex: boolean): void {
    // Its closure is made all the same, but refers to nothing.
    Original.call(this, options, undefined, isDuplex);
    const young = (error?: Error | null) => (onwrite as OnWrite)(stream, error);
    this.onwrite = young;
  }
  YoungWritableState.prototype = Original.prototype;
  holder.WritableState = YoungWritableState as unknown as WritableStateConstructor;
  return true;
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

type RemoteObject = { type: string; objectId?: string };
type Property = { name: string; value?: RemoteObject };

const KEY = 'scorewire.closure';
const SHARED = Symbol.for(KEY);
