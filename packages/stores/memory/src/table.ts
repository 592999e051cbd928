/** The value for "no slot". */
export const none = -1;

/** Columns of numbers. */
export const number = { createdAt: 0, lastActiveAt: 1, expiresAt: 2, endsAt: 3, version: 4, bytes: 5 } as const;
/** Columns of strings. `userId` is `undefined` for an anonymous session, `id` in a free slot. */
export const text = { id: 0, payload: 1, userId: 2 } as const;
/** Columns of slots: two for each ring, and one for the wheel's bucket of a session. */
export const link = { recency: 0, expiry: 2, user: 4, bucket: 6 } as const;

const numbersPerSlot = 6;
const textsPerSlot = 3;
const linksPerSlot = 8;
const slotBits = 10;
const slotsPerPage = 1 << slotBits;

/** The memory of a session in the table, in bytes, without its strings. */
export const bytesPerSlot: number = numbersPerSlot * 8 + textsPerSlot * 8 + linksPerSlot * 4;

interface Page {
  readonly numbers: Float64Array;
  readonly texts: (string | undefined)[];
  readonly links: Int32Array;
  used: number;
  /** The first free slot of the page. The first link of a free slot holds the next one. */
  firstFree: number;
}

/**
 * Keeps the members of each session in rows of typed arrays.
 *
 * A row costs half of the memory of an object with the same fields (V8 boxes each epoch time separately), and the
 * garbage collector does not follow the links of a million of them. Pages are added and removed one by one: no data is
 * copied, and memory is released after a peak. A session keeps its slot while it lives.
 */
export class Table {
  readonly #pages: (Page | undefined)[] = [];
  /** The pages with a free slot. A released page stays in the list until it is taken again. */
  readonly #withRoom: number[] = [];
  /** One empty page is kept: otherwise a single session that comes and goes would allocate a page each time. */
  #spare: Page | undefined;

  /** The end of the slots: all are below it. */
  get end(): number {
    return this.#pages.length * slotsPerPage;
  }

  /** The number of pages, without the spare one. */
  get pages(): number {
    return this.#pages.filter((page) => page !== undefined).length;
  }

  /** Takes a free slot. Its numbers and links still hold the values of the session before. */
  allocate(): number {
    const index = this.#withRoom.at(-1) ?? this.#addIndex();
    const page = this.#pages[index] ?? this.#takePage();
    this.#pages[index] = page;
    const offset = page.firstFree;
    page.firstFree = page.links[offset * linksPerSlot] ?? none;
    page.used += 1;
    if (page.used === slotsPerPage) this.#withRoom.pop();
    return index * slotsPerPage + offset;
  }

  free(slot: number): void {
    const index = slot >> slotBits;
    const page = this.#page(slot);
    const offset = slot & (slotsPerPage - 1);
    page.texts.fill(undefined, offset * textsPerSlot, (offset + 1) * textsPerSlot);
    page.links[offset * linksPerSlot] = page.firstFree;
    page.firstFree = offset;
    if (page.used === slotsPerPage) this.#withRoom.push(index);
    page.used -= 1;
    if (page.used > 0) return;
    this.#pages[index] = undefined;
    this.#spare = page;
  }

  isUsed(slot: number): boolean {
    const page = this.#pages[slot >> slotBits];
    return page?.texts[(slot & (slotsPerPage - 1)) * textsPerSlot] !== undefined;
  }

  number(slot: number, column: number): number {
    // An allocated slot is in bounds, here and below.
    return this.#page(slot).numbers[(slot & (slotsPerPage - 1)) * numbersPerSlot + column] as number;
  }

  setNumber(slot: number, column: number, value: number): void {
    this.#page(slot).numbers[(slot & (slotsPerPage - 1)) * numbersPerSlot + column] = value;
  }

  text(slot: number, column: number): string | undefined {
    return this.#page(slot).texts[(slot & (slotsPerPage - 1)) * textsPerSlot + column];
  }

  setText(slot: number, column: number, value: string | undefined): void {
    this.#page(slot).texts[(slot & (slotsPerPage - 1)) * textsPerSlot + column] = value;
  }

  link(slot: number, column: number): number {
    return this.#page(slot).links[(slot & (slotsPerPage - 1)) * linksPerSlot + column] as number;
  }

  setLink(slot: number, column: number, value: number): void {
    this.#page(slot).links[(slot & (slotsPerPage - 1)) * linksPerSlot + column] = value;
  }

  #page(slot: number): Page {
    // The page of an allocated slot exists until the slot is freed.
    return this.#pages[slot >> slotBits] as Page;
  }

  #addIndex(): number {
    this.#withRoom.push(this.#pages.length);
    return this.#pages.push(undefined) - 1;
  }

  #takePage(): Page {
    const page = this.#spare ?? newPage();
    this.#spare = undefined;
    return page;
  }
}

function newPage(): Page {
  const links = new Int32Array(slotsPerPage * linksPerSlot);
  for (let offset = 0; offset < slotsPerPage; offset += 1) {
    links[offset * linksPerSlot] = offset + 1 < slotsPerPage ? offset + 1 : none;
  }
  return {
    numbers: new Float64Array(slotsPerPage * numbersPerSlot),
    texts: new Array<undefined>(slotsPerPage * textsPerSlot).fill(undefined),
    links,
    used: 0,
    firstFree: 0,
  };
}
