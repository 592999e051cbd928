import type { Call } from "@sojourn/core/adapter";
import type { Connection } from "./connection.js";
import { isWrongType } from "./errors.js";
import type { Keyspace } from "./keys.js";
import { hasMoved, isTombstone, longestHeadBytes, readArrival } from "./record.js";
import { asBuffer, type ScriptReply } from "./reply.js";
import { settle } from "./scripts/cluster-rename.js";
import type { Script } from "./scripts/script.js";

/** The keys of sessions on a Cluster, each on the node that holds its slot. */
export class ClusterRecords {
  readonly #connection: Connection;
  readonly #prefix: string;

  constructor(connection: Connection, { sessionPrefix }: Keyspace) {
    this.#connection = connection;
    this.#prefix = sessionPrefix;
  }

  run<Status extends string>(
    call: Call,
    step: Script<Status>,
    id: string,
    args: readonly (string | number)[],
  ): Promise<ScriptReply<Status>> {
    return this.#connection.script(call, step, [this.#prefix + id], args);
  }

  /** Reads the record of a session, and settles an arrival whose rename has finished. `undefined` where there is no session. */
  async read(call: Call, id: string): Promise<Buffer | undefined> {
    const value = await this.#get(call, id);
    return value === undefined ? undefined : this.recordIn(call, id, value);
  }

  /** Returns the record that the value of a session's key is, or will be in a moment. */
  async recordIn(call: Call, id: string, value: Buffer): Promise<Buffer | undefined> {
    if (!isTombstone(value)) return value;
    const arrival = readArrival(value);
    if (arrival === undefined || !(await this.hasMoved(call, arrival.oldId, arrival.claim))) return undefined;
    const { status, rest } = await this.run(call, settle, id, [arrival.claim, "read"]);
    switch (status) {
      case "settled":
        return asBuffer(rest[0]);
      case "missing":
        return undefined;
      case "corrupt":
        return Buffer.alloc(0);
    }
  }

  /** Whether the rename of this claim has ended the session under its old id, and thereby moved it. */
  async hasMoved(call: Call, oldId: string, claim: string): Promise<boolean> {
    const tombstone = await this.#get(call, oldId);
    return tombstone !== undefined && hasMoved(tombstone, claim);
  }

  /** Reads a record without its payload; a tombstone or an arrival reads as it is. */
  async head(call: Call, id: string): Promise<Buffer | undefined> {
    return this.#unlessWrongType(async () => {
      const head = asBuffer(await this.#connection.query(call, "GETRANGE", this.#prefix + id, 0, longestHeadBytes - 1));
      return head.length === 0 ? undefined : head;
    });
  }

  /** Whether a live session, or a value that is no session, has the id. */
  async isTaken(call: Call, id: string): Promise<boolean> {
    const head = await this.head(call, id);
    return head !== undefined && !isTombstone(head);
  }

  #get(call: Call, id: string): Promise<Buffer | undefined> {
    return this.#unlessWrongType(async () => {
      const value = await this.#connection.query(call, "GET", this.#prefix + id);
      return value === null ? undefined : asBuffer(value);
    });
  }

  /** A key of another type reads as the empty text, which is a corrupt record. */
  async #unlessWrongType(read: () => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    try {
      return await read();
    } catch (error) {
      if (isWrongType(error)) return Buffer.alloc(0);
      throw error;
    }
  }
}
