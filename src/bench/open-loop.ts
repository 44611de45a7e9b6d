// Open loop: calls start at times that were drawn before the run, whether the server keeps up or not. Latency counts from the
// intended time, so a stall of the server, or of this generator, is in every call that it delays (no coordinated omission).

import { nowUs } from './clock.ts';
import type { Flow } from './flow.ts';
import type { Recorder } from './recorder.ts';

/** Sends the calls of one flow at their intended times; `poll` must be called again and again. */
export class OpenLoop {
  readonly flow: Flow;
  readonly #recorder: Recorder;
  readonly #arrivalsUs: Float64Array;
  readonly #startUs: number;
  readonly #maxInFlight: number;
  #next = 0;
  /** When a call was last seen to be held back; calls meant to start until then are not late by our fault. */
  #heldBackUs = -1;

  /**
   * @param arrivalsUs intended times from startUs on, ascending; calls that go together have one
   * @param startUs on the clock of `nowUs`
   */
  constructor(flow: Flow, recorder: Recorder, arrivalsUs: Float64Array, startUs: number, maxInFlight: number) {
    this.flow = flow;
    this.#recorder = recorder;
    this.#arrivalsUs = arrivalsUs;
    this.#startUs = startUs;
    this.#maxInFlight = maxInFlight;
  }

  /** Every call has been sent. */
  get done(): boolean {
    return this.#next >= this.#arrivalsUs.length;
  }

  /** Sends what is due. */
  poll(): void {
    const { flow } = this;
    const arrivals = this.#arrivalsUs;
    const first = this.#next;
    const dueUs = nowUs() - this.#startUs;
    let next = first;
    while (next < arrivals.length && (arrivals[next] as number) <= dueUs) {
      if (flow.inFlight >= this.#maxInFlight || !flow.send(this.#startUs + (arrivals[next] as number))) {
        this.#heldBackUs = dueUs;
        break;
      }
      next++;
    }
    if (next === first) return;
    flow.flush();
    const sentUs = nowUs() - this.#startUs;
    this.#next = next;
    for (let index = first; index < next; index++) {
      const intended = arrivals[index] as number;
      if (intended <= this.#heldBackUs) this.#recorder.heldBack(this.#startUs + intended, flow.callsAtOnce);
      else this.#recorder.late(sentUs - intended, this.#startUs + intended);
    }
  }

  /** Gives up the calls that have not been sent; `each` gets the intended time of each. */
  abandon(each: (intendedUs: number) => void): void {
    for (; this.#next < this.#arrivalsUs.length; this.#next++) {
      const intendedUs = this.#startUs + (this.#arrivalsUs[this.#next] as number);
      for (let call = 0; call < this.flow.callsAtOnce; call++) each(intendedUs);
    }
  }
}
