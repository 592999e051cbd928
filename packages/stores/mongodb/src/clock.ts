/** The server's clock lies between the two, in epoch milliseconds. */
export interface Moment {
  readonly earliest: number;
  readonly latest: number;
}

/** How far the server's clock is ahead of ours: between the two, when it was measured. */
interface Offset {
  readonly least: number;
  readonly most: number;
  readonly measuredAt: number;
}

/** Within these many milliseconds the server's clock is known, where the network answers that fast. */
export const precisionMs = 100;

const refreshAfterMs = 10_000;
const maxSamples = 5;
/** How fast two clocks may part: far more than a sound quartz does. */
const drift = 0.000_2;

/**
 * The server's clock, as far as this process can know it.
 *
 * Each sample bounds the offset: the server answered its time after we asked and before we heard. Deadlines are set by the
 * latest moment that it may be and judged by the earliest, so that none comes early. Our own side is the monotonic clock,
 * which cannot be set.
 */
export class ServerClock {
  #offset: Offset | undefined;
  #isDoubtful = false;
  #measuring: Promise<Offset> | undefined;
  #answered: Moment & { readonly answeredAt: number } = never;

  /**
   * Asks the server only when the bounds have become too wide, and now and then in the background.
   *
   * @param ask - answers the server's time
   */
  async now(ask: () => Promise<Date>): Promise<Moment> {
    let offset = this.#offset;
    const isKnown = offset !== undefined && !this.#isDoubtful && widthOf(aged(offset)) <= 2 * precisionMs;
    if (offset === undefined || !isKnown) offset = await this.#measure(ask);
    else if (performance.now() - offset.measuredAt > refreshAfterMs) this.#measure(ask).catch(() => {});
    const { least, most, measuredAt } = aged(offset);
    // A better measurement must not make the time go back or stand still: it goes at half speed until it has caught up.
    const { earliest, latest, answeredAt } = this.#answered;
    this.#answered = {
      earliest: Math.max(earliest, measuredAt + least),
      latest: Math.max(latest + (measuredAt - answeredAt) / 2, measuredAt + most),
      answeredAt: measuredAt,
    };
    return { earliest: Math.floor(this.#answered.earliest), latest: Math.ceil(this.#answered.latest) };
  }

  /** After a failure another server may answer, with another clock. */
  doubt(): void {
    this.#isDoubtful = true;
  }

  #measure(ask: () => Promise<Date>): Promise<Offset> {
    this.#measuring ??= this.#sample(ask).finally(() => {
      this.#measuring = undefined;
    });
    return this.#measuring;
  }

  async #sample(ask: () => Promise<Date>): Promise<Offset> {
    for (let sample = 1; ; sample++) {
      const askedAt = performance.now();
      const time = (await ask()).getTime();
      const heardAt = performance.now();
      // The server cuts its time to whole milliseconds.
      const heard = { least: time - heardAt, most: time + 1 - askedAt, measuredAt: heardAt };
      const both = this.#offset === undefined ? undefined : intersection(aged(this.#offset), heard);
      // Where they contradict each other a clock was set, or another server answers.
      if (both === undefined) this.#answered = never;
      this.#offset = both ?? heard;
      this.#isDoubtful = false;
      if (widthOf(this.#offset) <= precisionMs || sample === maxSamples) return this.#offset;
    }
  }
}

const never = { earliest: Number.NEGATIVE_INFINITY, latest: Number.NEGATIVE_INFINITY, answeredAt: 0 };

function aged({ least, most, measuredAt }: Offset): Offset {
  const now = performance.now();
  const parted = (now - measuredAt) * drift;
  return { least: least - parted, most: most + parted, measuredAt: now };
}

function intersection(known: Offset, heard: Offset): Offset | undefined {
  const least = Math.max(known.least, heard.least);
  const most = Math.min(known.most, heard.most);
  return least <= most ? { least, most, measuredAt: heard.measuredAt } : undefined;
}

function widthOf({ least, most }: Offset): number {
  return most - least;
}
