import { createHash } from "node:crypto";

/** Longer names PostgreSQL cuts without a word, and two of them become one. */
const maxNameBytes = 63;

/** The names of one store in the database: each quoted, with its schema where that is possible. */
export interface Names {
  readonly schema: string;
  readonly table: string;
  /** The same names as the catalog has them, and those of the functions. */
  readonly catalog: { readonly schema: string; readonly table: string; readonly functions: readonly string[] };
  readonly userIndex: string;
  readonly sweepIndex: string;
  readonly makeRoom: string;
  readonly create: string;
  readonly change: string;
  readonly destroyByUser: string;
  /** Differs for each table: prepared statements, locks and dollar quotes of two stores never meet. */
  readonly fingerprint: string;
}

/** Functions carry the version of their schema, so that nodes of two releases can work on one table during a deployment. */
const version = "v2";

export function namesOf(schema: string, table: string): Names {
  const qualified = (name: string): string => `${quoteName(schema)}.${quoteName(name)}`;
  const makeRoom = derive(table, `make_room_${version}`);
  const create = derive(table, `create_${version}`);
  const change = derive(table, `change_${version}`);
  const destroyByUser = derive(table, `destroy_by_user_${version}`);
  return {
    schema: quoteName(schema),
    table: qualified(table),
    userIndex: quoteName(derive(table, "user_idx")),
    sweepIndex: quoteName(derive(table, "sweep_idx")),
    makeRoom: qualified(makeRoom),
    create: qualified(create),
    change: qualified(change),
    destroyByUser: qualified(destroyByUser),
    catalog: { schema, table, functions: [makeRoom, create, change, destroyByUser] },
    fingerprint: fingerprint(qualified(table)),
  };
}

/** Whether PostgreSQL can use the text as a name, as it is. */
export function isName(value: unknown): value is string {
  if (typeof value !== "string" || value === "" || value.includes("\0") || !value.isWellFormed()) return false;
  return Buffer.byteLength(value) <= maxNameBytes;
}

/** A string literal that means the same whatever `standard_conforming_strings` says. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  return text.includes("\\") ? ` E${quoted}` : quoted;
}

/** A body of code as a literal; the names in it cannot end it, for they cannot contain their own hash. */
export function dollarQuote({ fingerprint }: Names, body: string): string {
  const tag = `$s${fingerprint}$`;
  return `${tag}\n${body}\n${tag}`;
}

/** Sixteen hexadecimal digits that stand for the text. */
export function fingerprint(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A name for something that belongs to the table; where it would be too long, a hash stands for what is cut. */
function derive(table: string, suffix: string): string {
  const name = `${table}_${suffix}`;
  if (Buffer.byteLength(name) <= maxNameBytes) return name;
  const tail = `_${fingerprint(table)}_${suffix}`;
  let head = table;
  while (Buffer.byteLength(head + tail) > maxNameBytes) head = [...head].slice(0, -1).join("");
  return head + tail;
}
