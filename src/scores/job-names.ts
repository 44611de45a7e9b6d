// Names of jobs as small numbers: thousands of entries have the same one.

/** A store remembers so many; scores of jobs beyond are stored without a name. Numbers fit in 16 bits. */
const MOST_JOBS = 65_000;

export class JobNames {
  readonly #numbers = new Map([['', 0]]);
  readonly #names = [''];

  /** 0, the number of '', where there are too many. */
  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    if (this.#names.length > MOST_JOBS) return 0;
    this.#numbers.set(name, this.#names.length);
    return this.#names.push(name) - 1;
  }

  nameOf(number: number): string {
    return this.#names[number] as string;
  }
}
