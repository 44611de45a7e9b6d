// What one flow has seen: which calls count, by outcome.

import { LatencyHistogram } from './histogram.ts';
import type { FlowPlan } from './plan.ts';
import type { AnswerSample, FlowReport, OutcomeReport, SecondReport } from './report.ts';
import { NO_ANSWER, OK, RESOURCE_EXHAUSTED, STATUS_COUNT, statusName } from './status.ts';

const MAX_SAMPLES = 5_000;
const MESSAGE_PREFIX_BYTES = 5;

/** Records the calls of one flow. Times are in microseconds of `nowUs`. */
export class Recorder {
  readonly #plan: FlowPlan;
  readonly #open: boolean;
  readonly #startUs: number;
  #endUs: number;

  readonly #answers = new LatencyHistogram();
  readonly #refusals = new LatencyHistogram();
  readonly #failures = new LatencyHistogram();
  readonly #lateness = new LatencyHistogram();
  readonly #byStatus = new Float64Array(STATUS_COUNT);
  readonly #details = new Map<number, string>();
  readonly #samples: AnswerSample[] = [];
  readonly #answeredInSecond: Float64Array;
  readonly #failedInSecond: Float64Array;
  readonly #maxUsInSecond: Float64Array;
  /** Calls that ended in the measured time, whenever they began. */
  #ended = 0;
  #answered = 0;
  #heldBack = 0;
  lostConnections = 0;

  /** Measures from startUs until endUs. */
  constructor(plan: FlowPlan, startUs: number, endUs: number) {
    this.#plan = plan;
    this.#open = plan.shape.kind === 'open';
    this.#startUs = startUs;
    this.#endUs = endUs;
    const seconds = Math.ceil((endUs - startUs) / 1e6);
    this.#answeredInSecond = new Float64Array(seconds);
    this.#failedInSecond = new Float64Array(seconds);
    this.#maxUsInSecond = new Float64Array(seconds);
  }

  /** Calls of any outcome that ended in the measured time. */
  get ended(): number {
    return this.#ended;
  }

  get latenessP99Us(): number {
    return this.#lateness.percentileUs(99);
  }

  finished(intendedUs: number, doneUs: number, status: number, detail: string): void {
    const latencyUs = doneUs - intendedUs;
    const endedInTime = doneUs >= this.#startUs && doneUs < this.#endUs;
    if (endedInTime) this.#countEnd(doneUs, latencyUs, status);
    const belongs = this.#open ? intendedUs >= this.#startUs && intendedUs < this.#endUs : endedInTime;
    if (!belongs) return;
    if (status === OK) {
      this.#answers.record(latencyUs);
      return;
    }
    const known = status < STATUS_COUNT ? status : NO_ANSWER - 1;
    this.#byStatus[known] = (this.#byStatus[known] as number) + 1;
    if (status === RESOURCE_EXHAUSTED) this.#refusals.record(latencyUs);
    else this.#failures.record(latencyUs);
    if (!this.#details.has(status)) this.#details.set(status, detail);
  }

  late(latenessUs: number, intendedUs: number): void {
    if (intendedUs >= this.#startUs && intendedUs < this.#endUs) this.#lateness.record(latenessUs);
  }

  heldBack(intendedUs: number, calls: number): void {
    if (intendedUs >= this.#startUs && intendedUs < this.#endUs) this.#heldBack += calls;
  }

  sampled(message: number, framed: Uint8Array): void {
    if (this.#samples.length < MAX_SAMPLES) {
      this.#samples.push({ message, answer: framed.slice(MESSAGE_PREFIX_BYTES) });
    }
  }

  report(): FlowReport {
    const { name, protocol = 'grpc', path, rpc, shape, connections } = this.#plan;
    const seconds = (this.#endUs - this.#startUs) / 1e6;
    const calls = this.#answers.count + this.#refusals.count + this.#failures.count;
    const errors: Record<string, number> = {};
    this.#byStatus.forEach((count, status) => {
      if (count > 0) errors[statusName(status)] = count;
    });
    return {
      name,
      protocol,
      path,
      rpc,
      shape,
      connections,
      calls,
      answeredPerSecond: this.#answered / seconds,
      offeredPerSecond: this.#open ? calls / seconds : undefined,
      answers: outcomeOf(this.#answers),
      refusals: outcomeOf(this.#refusals),
      failures: outcomeOf(this.#failures),
      errors,
      errorDetails: Object.fromEntries([...this.#details].map(([status, detail]) => [statusName(status), detail])),
      lateness: this.#open ? this.#lateness.summary() : undefined,
      heldBack: this.#heldBack,
      lostConnections: this.lostConnections,
      perSecond: this.#perSecond(),
      samples: this.#samples,
    };
  }

  #countEnd(doneUs: number, latencyUs: number, status: number): void {
    this.#ended++;
    const second = Math.floor((doneUs - this.#startUs) / 1e6);
    if (status === OK) {
      this.#answered++;
      this.#answeredInSecond[second] = (this.#answeredInSecond[second] as number) + 1;
      if (latencyUs > (this.#maxUsInSecond[second] as number)) this.#maxUsInSecond[second] = latencyUs;
    } else {
      this.#failedInSecond[second] = (this.#failedInSecond[second] as number) + 1;
    }
  }

  #perSecond(): SecondReport[] {
    return Array.from(this.#answeredInSecond, (answered, second) => ({
      answered,
      failed: this.#failedInSecond[second] as number,
      maxUs: Math.round(this.#maxUsInSecond[second] as number),
    }));
  }
}

function outcomeOf(histogram: LatencyHistogram): OutcomeReport {
  return { ...histogram.summary(), histogram: histogram.encoded() };
}
