/** The server's clock lies between the two, in epoch milliseconds. */
export interface Moment {
  readonly earliest: number;
  readonly latest: number;
}

/** What the server's clock is ahead of ours: between the two, when it was measured. */
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
 * Each sample says that the server answered its time after we asked and before we heard. What follows is bounds, not a
 * guess: deadlines are set by the latest moment that it may be and judged by the earliest, so that none comes early.
 * Our own side is the monotonic clock, which nobody sets.
 */
export class ServerClock {
  readonly #ask: () => Promise<Date>;
  #offset: Offset | undefined;
  #measuring: Promise<Offset> | undefined;

  /** @param ask - answers the server's time */
  constructor(ask: () => Promise<Date>) {
    this.#ask = ask;
  }

  /** Asks the server only when what is known has become too vague, and now and then in the background. */
  async now(): Promise<Moment> {
    let offset = this.#offset;
    if (offset === undefined || widthOf(aged(offset)) > 2 * precisionMs) offset = await this.#measure();
    else if (performance.now() - offset.measuredAt > refreshAfterMs) this.#measure().catch(() => {});
    const { least, most, measuredAt } = aged(offset);
    return { earliest: Math.floor(measuredAt + least), latest: Math.ceil(measuredAt + most) };
  }

  /** After a failure another server may answer, with another clock. */
  forget(): void {
    this.#offset = undefined;
  }

  #measure(): Promise<Offset> {
    this.#measuring ??= this.#sample().finally(() => {
      this.#measuring = undefined;
    });
    return this.#measuring;
  }

  async #sample(): Promise<Offset> {
    let offset = this.#offset;
    for (let sample = 1; sample <= maxSamples; sample++) {
      const askedAt = performance.now();
      const time = (await this.#ask()).getTime();
      const heardAt = performance.now();
      // The server cuts its time to whole milliseconds.
      const heard = { least: time - heardAt, most: time + 1 - askedAt, measuredAt: heardAt };
      offset = offset === undefined ? heard : narrowed(aged(offset), heard);
      if (widthOf(offset) <= precisionMs) break;
    }
    this.#offset = offset;
    // The loop has run at least once.
    return offset as Offset;
  }
}

function aged({ least, most, measuredAt }: Offset): Offset {
  const now = performance.now();
  const parted = (now - measuredAt) * drift;
  return { least: least - parted, most: most + parted, measuredAt: now };
}

/** What both say; what `heard` says where they contradict each other, because a clock was set or the server is another. */
function narrowed(known: Offset, heard: Offset): Offset {
  const least = Math.max(known.least, heard.least);
  const most = Math.min(known.most, heard.most);
  return least <= most ? { least, most, measuredAt: heard.measuredAt } : heard;
}

function widthOf({ least, most }: Offset): number {
  return most - least;
}
