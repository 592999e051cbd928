import type { Batch, Call, Read, SessionRecord } from "@sojourn/core/adapter";
import type { Commands } from "./commands.js";
import type { Connection } from "./connection.js";
import { askUntilCurrent } from "./currency.js";
import type { Names } from "./names.js";
import { type Row, readId, readRecord, tryReadRecord } from "./record.js";
import { boundWaits, selectSessions } from "./sql.js";
import { select, send } from "./statement.js";
import { selectAutocommit } from "./transaction.js";

/** A statement is prepared for each number of ids that it takes, so there are few. */
const batchSizes = [1, 4, 16, 64];
export const maxBatchSize = 64;

/** Reads sessions by their ids, by a plain SELECT as long as the connections have autocommit. */
export class Reader {
  readonly #connection: Connection;
  readonly #statements: ReadonlyMap<number, string>;
  /** False once a connection of the pool has turned out to have none. */
  #hasAutocommit = true;

  constructor(connection: Connection, names: Names) {
    this.#connection = connection;
    this.#statements = new Map(batchSizes.map((size) => [size, selectSessions(names, size)]));
  }

  async read(id: string, commands: Commands, call: Call): Promise<SessionRecord | undefined> {
    const [row] = await this.#rows(() => [id], commands, call);
    return row && readRecord(id, row);
  }

  async readMany(batch: Batch<string>, commands: Commands, call: Call): Promise<ReadonlyMap<string, Read>> {
    let ids: readonly string[] | undefined;
    const take = (): readonly string[] => {
      ids ??= batch.take();
      return ids;
    };
    return new Map((await this.#rows(take, commands, call)).map((row) => [readId(row), tryReadRecord(row)]));
  }

  /** @param take - returns the ids, right before they are sent */
  async #rows(take: () => readonly string[], commands: Commands, call: Call): Promise<Row[]> {
    if (this.#hasAutocommit) {
      const rows = await this.#select(take, call);
      if (rows !== undefined) return rows;
      this.#hasAutocommit = false;
    }
    return commands.get(take(), call);
  }

  /**
   * Returns `undefined` where the connection has no autocommit: it may see what a transaction saw that was begun long ago. A
   * connection that returns no row is asked, each time: another user of the pool may have changed it.
   */
  #select(take: () => readonly string[], call: Call): Promise<Row[] | undefined> {
    const read = async (connection: Parameters<typeof select>[0]): Promise<Row[] | undefined> => {
      const ids = take();
      const size = batchSizes.find((each) => ids.length <= each) ?? maxBatchSize;
      // The places left over ask for the first id again.
      const values = Array.from({ length: size }, (_, index) => Buffer.from(ids[index] ?? ids[0] ?? ""));
      const sql = boundWaits(this.#statements.get(size) ?? "", this.#connection.lockWaitSeconds(call));
      const rows = await askUntilCurrent(() => select(connection, sql, values));
      const [row] = rows.length === 0 ? await select(connection, selectAutocommit, []) : rows;
      if (Number(row?.autocommit) === 1) return rows;
      // The SELECT has opened a transaction.
      await send(connection, "COMMIT");
      return undefined;
    };
    return this.#connection.run(call, read, { isRead: true });
  }
}
