// grpc.health.v1: the server as a whole ('' and each service's name) and each model by its name.
import { status as Status } from '@grpc/grpc-js';
import {
  type HealthCheckRequest,
  HealthCheckResponse,
  HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../gen/grpc/health/v1/health.ts';
import type { RefusedStatus } from './call-head.ts';
import { oneMessage, type StreamCall, type StreamHandler, type StreamMethod } from './stream-call.ts';
import { Malformed, tolerant } from './unary.ts';
import type { UnaryMethod } from './unary-call.ts';

type Watcher = {
  service: string;
  call: StreamCall;
  last: ServingStatus | undefined;
};

const MALFORMED: RefusedStatus = {
  code: Status.INVALID_ARGUMENT,
  details: 'the request is not a well-formed HealthCheckRequest',
};

/** Watch streams that the server keeps open at most; more are refused. */
const MAX_WATCHERS = 1000;

/** The statuses, and whoever watches them. */
export class Health {
  readonly #statuses = new Map<string, ServingStatus>();
  readonly #watchers = new Set<Watcher>();

  set(service: string, serving: boolean): void {
    this.#statuses.set(service, serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
    for (const watcher of this.#watchers) this.#tell(watcher);
  }

  /** The name is no service any more. */
  remove(service: string): void {
    if (!this.#statuses.delete(service)) return;
    for (const watcher of this.#watchers) this.#tell(watcher);
  }

  /** Ends the Watch streams, which would keep a drain waiting. */
  close(): void {
    for (const { call } of this.#watchers) call.end();
    this.#watchers.clear();
  }

  check(): UnaryMethod {
    const { path } = HealthService.check;
    const decode = tolerant(HealthService.check);
    return {
      path,
      onMessage: (call, message) => {
        const request = decode(message);
        const status = request instanceof Malformed ? undefined : this.#statuses.get(request.service);
        if (request instanceof Malformed) call.refuse(MALFORMED);
        else if (status === undefined) call.refuse({ code: Status.NOT_FOUND, details: 'no such service or model' });
        else call.answer(encode(status));
      },
    };
  }

  watch(): StreamMethod {
    return { path: HealthService.watch.path, open: (call) => this.#watch(call) };
  }

  #watch(call: StreamCall): StreamHandler {
    let watcher: Watcher | undefined;
    const start = (request: HealthCheckRequest | Malformed): void => {
      if (request instanceof Malformed) {
        call.refuse(MALFORMED);
      } else if (this.#watchers.size >= MAX_WATCHERS) {
        call.refuse({ code: Status.RESOURCE_EXHAUSTED, details: `${MAX_WATCHERS} streams watch already` });
      } else {
        watcher = { service: request.service, call, last: undefined };
        this.#watchers.add(watcher);
        this.#tell(watcher);
      }
    };
    return oneMessage(call, tolerant(HealthService.watch), start, {
      onDrain() {},
      onAbort: () => {
        if (watcher !== undefined) this.#watchers.delete(watcher);
      },
    });
  }

  #tell(watcher: Watcher): void {
    const status = this.#statuses.get(watcher.service) ?? ServingStatus.SERVICE_UNKNOWN;
    if (status === watcher.last) return;
    watcher.last = status;
    watcher.call.send(encode(status));
  }
}

function encode(status: ServingStatus): Uint8Array {
  return HealthCheckResponse.encode({ status }).finish();
}
