import { aborted } from "../contract/abort.js";
import type { StoreCallOptions } from "../contract/call.js";
import { SessionError } from "../contract/errors.js";
import type {
  CreateOptions,
  CreateResult,
  DestroyByUserOptions,
  EndedSession,
  NewSession,
  ReadManyOptions,
  ReadOptions,
  RenameOptions,
  RenameResult,
  ScanOptions,
  SessionChange,
  SessionCounts,
  SessionRecord,
  SessionRename,
  SessionStore,
  StoreCapabilities,
  SweepOptions,
  TouchOptions,
  UpdateOptions,
  UpdateResult,
} from "../contract/store.js";
import { withTimeout } from "../contract/timeout.js";
import {
  assertCall,
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
} from "../contract/validate.js";
import * as commands from "./commands.js";
import { type Command, classified, isCorrupt } from "./commands.js";
import { Dispatcher } from "./dispatcher.js";
import type { Answer, Call, StoreDriver, Write } from "./driver.js";
import { refuseFrameworks } from "./foreign-protocol.js";

/** A command, of which only the name matters. */
type AnyCommand = Pick<Command<unknown, unknown, unknown>, "operation">;

const defaultScanSize = 500;
/** Marks a store that guards itself, by its own identity: a Proxy around it is another store. */
export const guardMark: unique symbol = Symbol.for("sojourn.guardedStore");

/**
 * The one guard in front of a backend.
 *
 * Checks arguments, refuses calls of a closed store, keeps the commands of one session in order, gathers the commands of one
 * tick, gives each operation one deadline, and answers with `SessionError`s. The driver behind it only talks to its backend.
 */
export class DriverStore<Driver extends StoreDriver = StoreDriver> implements SessionStore {
  readonly capabilities: StoreCapabilities;
  declare readonly peek?: (id: string) => SessionRecord | undefined;
  declare readonly onEvicted?: (listener: (session: EndedSession) => void) => () => void;
  /** For the methods that a subclass adds. */
  protected readonly driver: Driver;
  readonly #dispatcher: Dispatcher;
  #closing: Promise<void> | undefined;

  constructor(driver: Driver) {
    this.driver = driver;
    this.capabilities = driver.capabilities;
    this.#dispatcher = new Dispatcher(driver);
    if (driver.peek !== undefined) this.peek = (id) => (this.#closing === undefined ? driver.peek?.(id) : undefined);
    if (driver.onEvicted !== undefined) this.onEvicted = (listener) => driver.onEvicted?.(listener) ?? ignore;
    Object.defineProperty(this, guardMark, { value: this });
  }

  create(session: NewSession, options: CreateOptions = {}, call?: StoreCallOptions): Promise<CreateResult> {
    try {
      this.#admit(commands.create, call);
      assertNewSession(session, options, this.capabilities);
      const limit = session.userId === undefined ? undefined : options.limit;
      return this.#dispatcher.inOrder(commands.create, { session, limit }, session.id, call);
    } catch (error) {
      return this.#reject(commands.create, error);
    }
  }

  /** Reads of one tick travel together. A read joins a request only before it is sent. */
  get(id: string, _options?: ReadOptions, call?: StoreCallOptions): Promise<SessionRecord | undefined> {
    try {
      this.#admit(commands.read, call);
      assertId(id);
      return this.#dispatcher.read(id, call);
    } catch (error) {
      return this.#reject(commands.read, error);
    }
  }

  update(
    id: string,
    change: SessionChange,
    options: UpdateOptions = {},
    call?: StoreCallOptions,
  ): Promise<UpdateResult> {
    try {
      this.#admit(commands.update, call);
      assertId(id);
      assertChange(change, options, this.capabilities);
      return this.#dispatcher.inOrder(commands.update, writeOf(id, undefined, change, options), id, call);
    } catch (error) {
      return this.#reject(commands.update, error);
    }
  }

  touch(id: string, options: TouchOptions, call?: StoreCallOptions): Promise<boolean> {
    try {
      this.#admit(commands.touch, call);
      assertTouch(id, options);
      return this.#dispatcher.inOrder(
        commands.touch,
        { id, idleMs: options.idleMs, shorten: options.shorten === true },
        id,
        call,
      );
    } catch (error) {
      return this.#reject(commands.touch, error);
    }
  }

  rename(
    id: string,
    newId: string,
    change: SessionRename = {},
    options: RenameOptions = {},
    call?: StoreCallOptions,
  ): Promise<RenameResult> {
    try {
      this.#admit(commands.rename, call);
      assertId(id);
      assertId(newId, "newId");
      assertChange(change, options, this.capabilities);
      return this.#dispatcher.inOrder(commands.rename, writeOf(id, newId, change, options), id, call);
    } catch (error) {
      return this.#reject(commands.rename, error);
    }
  }

  destroy(id: string, call?: StoreCallOptions): Promise<EndedSession | undefined> {
    try {
      this.#admit(commands.destroy, call);
      assertId(id);
      return this.#dispatcher.inOrder(commands.destroy, id, id, call);
    } catch (error) {
      return this.#reject(commands.destroy, error);
    }
  }

  listByUser(userId: string, options: ReadManyOptions = {}, call?: StoreCallOptions): Promise<SessionRecord[]> {
    try {
      this.#admit(commands.listByUser, call);
      assertId(userId, "userId");
      return this.#dispatcher.run(commands.listByUser, { userId, onCorrupt: options.onCorrupt }, call);
    } catch (error) {
      return this.#reject(commands.listByUser, error);
    }
  }

  destroyByUser(userId: string, options: DestroyByUserOptions = {}, call?: StoreCallOptions): Promise<string[]> {
    try {
      this.#admit(commands.destroyByUser, call);
      assertId(userId, "userId");
      if (options.except !== undefined) assertId(options.except, "except");
      return this.#dispatcher.run(commands.destroyByUser, { userId, except: options.except }, call);
    } catch (error) {
      return this.#reject(commands.destroyByUser, error);
    }
  }

  sweep(options: SweepOptions, call?: StoreCallOptions): Promise<EndedSession[]> {
    try {
      this.#admit(commands.sweep, call);
      assertSweep(options);
      return this.#dispatcher.run(commands.sweep, options.limit, call);
    } catch (error) {
      return this.#reject(commands.sweep, error);
    }
  }

  async *scan(options: ScanOptions = {}, call?: StoreCallOptions): AsyncGenerator<SessionRecord, void, undefined> {
    assertScan(options);
    const { batchSize: size = defaultScanSize, onCorrupt } = options;
    let from: unknown;
    do {
      this.#admit(commands.scan, call);
      if (this.driver.scan === undefined) throw this.#notSupported(commands.scan);
      const { records, next } = await this.#dispatcher.run(commands.scan, { from, size }, call);
      for (const record of records) {
        if (isCorrupt(record)) onCorrupt?.(record);
        else yield record;
      }
      from = next;
    } while (from !== undefined);
  }

  count(call?: StoreCallOptions): Promise<SessionCounts> {
    try {
      this.#admit(commands.count, call);
      if (this.driver.count === undefined) throw this.#notSupported(commands.count);
      return this.#dispatcher.run(commands.count, undefined, call);
    } catch (error) {
      return this.#reject(commands.count, error);
    }
  }

  async clear(call?: StoreCallOptions): Promise<void> {
    let from: unknown;
    do {
      this.#admit(commands.clear, call);
      from = await this.#dispatcher.run(commands.clear, from, call);
    } while (from !== undefined);
  }

  close(): Promise<void> {
    this.#closing ??= withTimeout(this.#close(), this.#dispatcher.timeoutMs, `${this.driver.name}: close`);
    return this.#closing;
  }

  /**
   * Runs an operation that only this kind of store has, such as the set-up of a schema, under the guard's deadline.
   *
   * @throws SessionError as the methods of the contract
   */
  protected run<Result>(
    operation: string,
    run: (call: Call) => Answer<Result>,
    call?: StoreCallOptions,
  ): Promise<Result> {
    const command: Command<undefined, Result, Result> = {
      operation,
      isWrite: true,
      run: (_driver, _item, running) => run(running),
      toResult: (result) => result,
    };
    try {
      this.#admit(command, call);
      return this.#dispatcher.run(command, undefined, call);
    } catch (error) {
      return this.#reject(command, error);
    }
  }

  /** Refuses a call before anything is done. */
  #admit({ operation }: AnyCommand, call: StoreCallOptions | undefined): void {
    if (this.#closing !== undefined) {
      throw new SessionError("CLOSED", `${this.driver.name}: ${operation}: the store has been closed`);
    }
    if (call === undefined) return;
    assertCall(call);
    if (call.signal?.aborted) throw aborted(this.driver.name, operation, call.signal, false);
  }

  #reject({ operation }: AnyCommand, error: unknown): Promise<never> {
    return Promise.reject(classified(this.driver, error, operation, false));
  }

  #notSupported({ operation }: AnyCommand): SessionError {
    return new SessionError("NOT_SUPPORTED", `${this.driver.name}: this backend does not offer ${operation}`);
  }

  async #close(): Promise<void> {
    await this.driver.close();
  }
}

refuseFrameworks(DriverStore.prototype, "store");

function writeOf(
  id: string,
  newId: string | undefined,
  { payload, userId, idleMs, absoluteMs }: SessionRename,
  { expectedVersion, limit }: UpdateOptions,
): Write {
  const gainsUser = typeof userId === "string";
  return { id, newId, payload, userId, idleMs, absoluteMs, expectedVersion, limit: gainsUser ? limit : undefined };
}

function ignore(): void {}

/** Returns the store of a driver: the guard in front of a backend. */
export function defineStore(driver: StoreDriver): SessionStore {
  return new DriverStore(driver);
}
