// The connections of one flow, and which of them takes the next call.

import { setTimeout as sleep } from 'node:timers/promises';
import { nowUs } from './clock.ts';
import type { ConnectionOwner, LoadConnection } from './load-connection.ts';
import { connectionOpener } from './open-connection.ts';
import type { FlowPlan } from './plan.ts';
import type { Recorder } from './recorder.ts';
import { callsAtOnce } from './rpc.ts';
import { NO_ANSWER } from './status.ts';

const RECONNECT_PAUSE_MS = 20;
const RECONNECT_ATTEMPTS = 250;

/** Sends the calls of one flow over its connections, and replaces those that are lost. */
export class Flow implements ConnectionOwner {
  readonly plan: FlowPlan;
  /** Called after each chunk that was read. */
  onChunkRead: () => void = () => {};
  recorder: Recorder | undefined;

  /** Calls that each `send` starts. */
  readonly callsAtOnce: number;
  readonly #open: () => Promise<LoadConnection>;
  #connections: LoadConnection[] = [];
  /** Connections that take no more calls, but may still answer some. */
  readonly #leaving: LoadConnection[] = [];
  #nextConnection = 0;
  #nextCall = 0;
  #inFlight = 0;
  #stopped = false;

  constructor(plan: FlowPlan, host: string, port: number) {
    this.plan = plan;
    this.callsAtOnce = callsAtOnce(plan.rpc);
    this.#open = connectionOpener(plan, host, port, this);
  }

  /** Opens every connection. */
  async connect(): Promise<void> {
    const opening = Array.from({ length: this.plan.connections }, () => this.#open());
    this.#connections = await Promise.all(opening);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Puts the next call, or the next that go together, into an outbox. False where no connection takes it: nothing was done. */
  send(intendedUs: number): boolean {
    const connections = this.#connections;
    for (let tried = 0; tried < connections.length; tried++) {
      if (this.#nextConnection >= connections.length) this.#nextConnection = 0;
      const connection = connections[this.#nextConnection++] as LoadConnection;
      if (!connection.send(this.#nextCall, intendedUs)) continue;
      this.#nextCall = (this.#nextCall + this.callsAtOnce) % this.plan.messages.length;
      this.#inFlight += this.callsAtOnce;
      return true;
    }
    return false;
  }

  /** Sends what `send` has put together. */
  flush(): void {
    for (const connection of this.#connections) connection.flush();
  }

  /** Ends the connections; what is still in flight is recorded as unanswered. */
  stop(): void {
    this.#stopped = true;
    for (const connection of [...this.#connections, ...this.#leaving]) {
      for (const intendedUs of connection.intendedOfOpenCalls())
        this.recorder?.finished(intendedUs, nowUs(), NO_ANSWER, '');
      connection.destroy();
    }
    this.#inFlight = 0;
  }

  finished(intendedUs: number, doneUs: number, status: number, detail: string): void {
    this.#inFlight--;
    this.recorder?.finished(intendedUs, doneUs, status, detail);
  }

  chunkRead(): void {
    this.onChunkRead();
  }

  sampled(call: number, framed: Uint8Array): void {
    this.recorder?.sampled(call, framed);
  }

  closed(connection: LoadConnection): void {
    if (this.#stopped) return;
    if (this.recorder !== undefined) this.recorder.lostConnections++;
    if (connection.inFlight > 0) this.#leaving.push(connection);
    void this.#replace(connection);
  }

  async #replace(lost: LoadConnection): Promise<void> {
    for (let attempt = 0; attempt < RECONNECT_ATTEMPTS && !this.#stopped; attempt++) {
      try {
        const fresh = await this.#open();
        if (this.#stopped) return fresh.destroy();
        this.#connections = this.#connections.map((connection) => (connection === lost ? fresh : connection));
        this.onChunkRead();
        this.flush();
        return;
      } catch {
        await sleep(RECONNECT_PAUSE_MS);
      }
    }
  }
}
