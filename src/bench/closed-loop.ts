// Closed loop: a fixed number of calls in flight. Each answer starts the next call, so a slow server is asked less: good
// for the throughput that a server can reach, blind to how long callers would queue.

import { nowUs } from './clock.ts';
import type { Flow } from './flow.ts';

/** Keeps `inFlight` calls of the flow under way until stopped. */
export class ClosedLoop {
  readonly flow: Flow;
  readonly #inFlight: number;
  #running = false;

  constructor(flow: Flow, inFlight: number) {
    this.flow = flow;
    this.#inFlight = inFlight;
    flow.onChunkRead = () => this.#fill();
  }

  start(): void {
    this.#running = true;
    this.#fill();
  }

  /** Starts no more calls; those in flight go on. */
  stop(): void {
    this.#running = false;
  }

  #fill(): void {
    if (!this.#running) return;
    const { flow } = this;
    while (flow.inFlight + flow.callsAtOnce <= this.#inFlight && flow.send(nowUs()));
    flow.flush();
  }
}
