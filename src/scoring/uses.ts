// Who still uses a version: it stays until the last of them is done.

/** Counts users; whoever begins ends once. */
export class Uses {
  #count = 0;
  #whenNone: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    this.#count--;
    if (this.#count > 0) return;
    for (const resolve of this.#whenNone.splice(0)) resolve();
  }

  /** One use, ended once by the first call of what comes back. */
  hold(): () => void {
    this.begin();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.end();
    };
  }

  /** Resolves when there is no user; meant for after nobody new can come. */
  async none(): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => this.#whenNone.push(resolve));
  }
}
