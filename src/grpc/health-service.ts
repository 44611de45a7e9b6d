// grpc.health.v1: the server as a whole ('' and each service's name) and each model by its name.
import {
  type ServerUnaryCall,
  type ServerWritableStream,
  status as Status,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../gen/grpc/health/v1/health.ts';
import { Malformed, tolerant } from './unary.ts';

export const healthService = {
  check: tolerant(HealthService.check),
  watch: tolerant(HealthService.watch),
};

type Watcher = {
  service: string;
  stream: ServerWritableStream<unknown, HealthCheckResponse>;
  last: ServingStatus | undefined;
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

  /** All that are known become NOT_SERVING. */
  setAll(serving: boolean): void {
    for (const service of this.#statuses.keys()) this.set(service, serving);
  }

  /** Ends the Watch streams, which would keep a drain waiting. */
  close(): void {
    for (const { stream } of this.#watchers) stream.end();
    this.#watchers.clear();
  }

  handlers(): UntypedServiceImplementation {
    return {
      check: (
        call: ServerUnaryCall<HealthCheckRequest | Malformed, HealthCheckResponse>,
        callback: sendUnaryData<HealthCheckResponse>,
      ) => {
        if (call.request instanceof Malformed) {
          callback({ code: Status.INVALID_ARGUMENT, details: 'the request is not a well-formed HealthCheckRequest' });
          return;
        }
        const status = this.#statuses.get(call.request.service);
        if (status === undefined) callback({ code: Status.NOT_FOUND, details: 'no such service or model' });
        else callback(null, { status });
      },
      watch: (stream: ServerWritableStream<HealthCheckRequest | Malformed, HealthCheckResponse>) => {
        if (stream.request instanceof Malformed) {
          stream.emit('error', {
            code: Status.INVALID_ARGUMENT,
            details: 'the request is not a well-formed HealthCheckRequest',
          });
          return;
        }
        if (this.#watchers.size >= MAX_WATCHERS) {
          stream.emit('error', { code: Status.RESOURCE_EXHAUSTED, details: `${MAX_WATCHERS} streams watch already` });
          return;
        }
        const watcher: Watcher = { service: stream.request.service, stream, last: undefined };
        this.#watchers.add(watcher);
        stream.on('cancelled', () => this.#watchers.delete(watcher));
        stream.on('close', () => this.#watchers.delete(watcher));
        this.#tell(watcher);
      },
    };
  }

  #tell(watcher: Watcher): void {
    const status = this.#statuses.get(watcher.service) ?? ServingStatus.SERVICE_UNKNOWN;
    if (status === watcher.last) return;
    watcher.last = status;
    watcher.stream.write({ status });
  }
}
