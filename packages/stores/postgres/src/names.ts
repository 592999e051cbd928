import { createHash } from "node:crypto";

/** PostgreSQL cuts longer names silently, so that two names could become one. */
const maxNameBytes = 63;

/** The names of one store in the database, quoted, and with the schema where SQL allows it. */
export interface Names {
  readonly schema: string;
  readonly table: string;
  /** Names without quotes, for queries of the catalog. */
  readonly catalog: { readonly schema: string; readonly table: string; readonly functions: readonly string[] };
  readonly userIndex: string;
  readonly sweepIndex: string;
  readonly makeRoom: string;
  readonly create: string;
  readonly change: string;
  readonly destroyByUser: string;
  /** A hash of the table's name. It keeps locks and dollar quotes of two stores apart. */
  readonly fingerprint: string;
}

/** Part of the functions' names, so that nodes of two releases can work on one table during a deployment. */
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

/** Whether PostgreSQL can use a value as a name without cutting it. */
export function isName(value: unknown): value is string {
  if (typeof value !== "string" || value === "" || value.includes("\0") || !value.isWellFormed()) return false;
  return Buffer.byteLength(value) <= maxNameBytes;
}

/** Returns a string literal that means the same under either setting of `standard_conforming_strings`. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  return text.includes("\\") ? ` E${quoted}` : quoted;
}

/** Returns a body of code as a literal. Names in the code cannot end it, because no name contains its own hash. */
export function dollarQuote({ fingerprint }: Names, body: string): string {
  const tag = `$s${fingerprint}$`;
  return `${tag}\n${body}\n${tag}`;
}

/** Returns sixteen hexadecimal digits of the text's hash. */
export function fingerprint(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Returns the name of an index or function of the table. In a name that would be too long, a hash replaces the rest. */
function derive(table: string, suffix: string): string {
  const name = `${table}_${suffix}`;
  if (Buffer.byteLength(name) <= maxNameBytes) return name;
  const tail = `_${fingerprint(table)}_${suffix}`;
  let head = table;
  while (Buffer.byteLength(head + tail) > maxNameBytes) head = [...head].slice(0, -1).join("");
  return head + tail;
}
