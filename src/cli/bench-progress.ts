/** What a long measurement is doing: a bar in a terminal, a line a load elsewhere. */
export class BenchProgress {
  readonly #out: NodeJS.WriteStream;
  #timer: NodeJS.Timeout | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** `seconds`: how long it will take. Ends what was shown before. */
  start(text: string, seconds: number): void {
    this.stop();
    if (!this.#out.isTTY) {
      this.#out.write(`${text}\n`);
      return;
    }
    const begun = performance.now();
    const draw = (): void => {
      const share = Math.min(1, (performance.now() - begun) / 1000 / seconds);
      const left = Math.max(0, Math.ceil(seconds * (1 - share)));
      const bar = '#'.repeat(Math.round(share * BAR)).padEnd(BAR, '.');
      this.#out.write(`\r\x1b[K[${bar}] ${text}, ${left} s left`);
    };
    draw();
    this.#timer = setInterval(draw, REDRAW_MS);
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#out.write('\r\x1b[K');
  }
}

const BAR = 24;
const REDRAW_MS = 250;
