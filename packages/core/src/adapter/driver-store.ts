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
import { defaultTimeoutMs, withTimeout } from "../contract/timeout.js";
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
import type { Answer, BatchLimits, Call, Read, StoreDriver, Touch, Write } from "./driver.js";
import { Gatherer, type OperationBatch } from "./gatherer.js";
import { type AnyOperation, Operation, type OperationOwner } from "./operation.js";
import { WriteOrder } from "./write-order.js";

/** A command, of which only the name matters. */
type AnyCommand = Pick<Command<unknown, unknown, unknown>, "operation">;

const defaultScanSize = 500;
/** Each session by itself, as soon as the tick is over: reads of one session still share a command. */
const oneByOne: BatchLimits = { max: 1, inFlight: Number.POSITIVE_INFINITY };

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
  readonly #timeoutMs: number;
  readonly #isLocal: boolean;
  readonly #owner: OperationOwner;
  readonly #order: WriteOrder;
  readonly #reads: Gatherer<string>;
  readonly #writes: Gatherer<Write> | undefined;
  readonly #touches: Gatherer<Touch> | undefined;
  #closing: Promise<void> | undefined;

  constructor(driver: Driver) {
    this.driver = driver;
    this.capabilities = driver.capabilities;
    this.#timeoutMs = driver.timeoutMs ?? defaultTimeoutMs;
    this.#isLocal = driver.isLocal === true;
    this.#order = new WriteOrder((operation) => this.#begin(operation));
    this.#owner = { driver, leave: (operation) => this.#order.leave(operation) };
    const { reads = oneByOne, writes } = driver.batches ?? {};
    const shared = {
      sendOne: (operation: AnyOperation) => this.#send(operation),
      classify: (call: Call, error: unknown) => this.#classify(call, error),
    };
    this.#reads = new Gatherer<string>({
      ...shared,
      ...reads,
      isEager: driver.readMany === undefined,
      sendMany: (batch) => this.#readMany(batch),
      isComplete: true,
    });
    if (writes !== undefined) {
      const { writeMany, touchMany } = driver;
      const incomplete = { ...shared, ...writes, isEager: false, isComplete: false };
      if (writeMany !== undefined) {
        this.#writes = new Gatherer<Write>({
          ...incomplete,
          sendMany: (batch) => writeMany.call(driver, batch, batch),
        });
      }
      if (touchMany !== undefined) {
        this.#touches = new Gatherer<Touch>({
          ...incomplete,
          sendMany: (batch) => touchMany.call(driver, batch, batch),
        });
      }
    }
    if (driver.peek !== undefined) this.peek = (id) => (this.#closing === undefined ? driver.peek?.(id) : undefined);
    if (driver.onEvicted !== undefined) this.onEvicted = (listener) => driver.onEvicted?.(listener) ?? ignore;
    Object.defineProperty(this, guardMark, { value: this });
  }

  create(session: NewSession, options: CreateOptions = {}, call?: StoreCallOptions): Promise<CreateResult> {
    try {
      this.#admit(commands.create, call);
      assertNewSession(session, options, this.capabilities);
      const limit = session.userId === undefined ? undefined : options.limit;
      return this.#inOrder(commands.create, { session, limit }, session.id, call);
    } catch (error) {
      return this.#reject(commands.create, error);
    }
  }

  /** Reads of one tick travel together. A read joins a request only before it is sent. */
  get(id: string, _options?: ReadOptions, call?: StoreCallOptions): Promise<SessionRecord | undefined> {
    try {
      this.#admit(commands.read, call);
      assertId(id);
      if (this.#isLocal) return this.#answer(commands.read, id);
      const operation = this.#operation(commands.read, id, call);
      if (!operation.over) this.#reads.add(operation);
      return operation.promise;
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
      return this.#inOrder(commands.update, writeOf(id, undefined, change, options), id, call);
    } catch (error) {
      return this.#reject(commands.update, error);
    }
  }

  touch(id: string, options: TouchOptions, call?: StoreCallOptions): Promise<boolean> {
    try {
      this.#admit(commands.touch, call);
      assertTouch(id, options);
      return this.#inOrder(commands.touch, { id, idleMs: options.idleMs, shorten: options.shorten === true }, id, call);
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
      return this.#inOrder(commands.rename, writeOf(id, newId, change, options), id, call);
    } catch (error) {
      return this.#reject(commands.rename, error);
    }
  }

  destroy(id: string, call?: StoreCallOptions): Promise<EndedSession | undefined> {
    try {
      this.#admit(commands.destroy, call);
      assertId(id);
      return this.#inOrder(commands.destroy, id, id, call);
    } catch (error) {
      return this.#reject(commands.destroy, error);
    }
  }

  listByUser(userId: string, options: ReadManyOptions = {}, call?: StoreCallOptions): Promise<SessionRecord[]> {
    try {
      this.#admit(commands.listByUser, call);
      assertId(userId, "userId");
      return this.#run(commands.listByUser, { userId, onCorrupt: options.onCorrupt }, call);
    } catch (error) {
      return this.#reject(commands.listByUser, error);
    }
  }

  destroyByUser(userId: string, options: DestroyByUserOptions = {}, call?: StoreCallOptions): Promise<string[]> {
    try {
      this.#admit(commands.destroyByUser, call);
      assertId(userId, "userId");
      if (options.except !== undefined) assertId(options.except, "except");
      return this.#run(commands.destroyByUser, { userId, except: options.except }, call);
    } catch (error) {
      return this.#reject(commands.destroyByUser, error);
    }
  }

  sweep(options: SweepOptions, call?: StoreCallOptions): Promise<EndedSession[]> {
    try {
      this.#admit(commands.sweep, call);
      assertSweep(options);
      return this.#run(commands.sweep, options.limit, call);
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
      const { records, next } = await this.#run(commands.scan, { from, size }, call);
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
      return this.#run(commands.count, undefined, call);
    } catch (error) {
      return this.#reject(commands.count, error);
    }
  }

  async clear(call?: StoreCallOptions): Promise<void> {
    let from: unknown;
    do {
      this.#admit(commands.clear, call);
      from = await this.#run(commands.clear, from, call);
    } while (from !== undefined);
  }

  close(): Promise<void> {
    this.#closing ??= withTimeout(this.#close(), this.#timeoutMs, `${this.driver.name}: close`);
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
      return this.#run(command, undefined, call);
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

  /** A driver in this process answers at once. */
  #answer<Item, Raw, Result>(command: Command<Item, Raw, Result>, item: Item): Promise<Result> {
    const answer = command.run(this.driver, item, localCall);
    if (!(answer instanceof Promise)) return Promise.resolve(command.toResult(answer, item));
    return answer.then(
      (raw) => command.toResult(raw, item),
      (error: unknown) => this.#reject(command, error),
    );
  }

  #operation<Item, Raw, Result>(
    command: Command<Item, Raw, Result>,
    item: Item,
    call: StoreCallOptions | undefined,
  ): Operation<Item, Raw, Result> {
    const operation = new Operation(this.#owner, command, item, call?.timeoutMs ?? this.#timeoutMs, call ?? {});
    if (call?.deadline !== undefined && operation.deadline <= performance.now()) {
      operation.sent = false;
      operation.expire();
    }
    return operation;
  }

  #run<Item, Raw, Result>(
    command: Command<Item, Raw, Result>,
    item: Item,
    call: StoreCallOptions | undefined,
  ): Promise<Result> {
    if (this.#isLocal) return this.#answer(command, item);
    const operation = this.#operation(command, item, call);
    if (!operation.over) this.#send(operation);
    return operation.promise;
  }

  #inOrder<Item, Raw, Result>(
    command: Command<Item, Raw, Result>,
    item: Item,
    id: string,
    call: StoreCallOptions | undefined,
  ): Promise<Result> {
    if (this.#isLocal) return this.#answer(command, item);
    const operation = this.#operation(command, item, call);
    if (!operation.over) this.#order.enter(operation, id);
    return operation.promise;
  }

  /** It is the operation's turn among the commands of its session. */
  #begin(operation: AnyOperation): void {
    const gatherer = this.#gathererOf(operation);
    if (gatherer === undefined) this.#send(operation);
    else gatherer.add(operation);
  }

  #gathererOf({ command, item }: AnyOperation): Gatherer<Write> | Gatherer<Touch> | undefined {
    if (command === commands.touch) return this.#touches;
    if (this.#writes === undefined || command !== commands.update) return undefined;
    return this.#canBatch(item) ? this.#writes : undefined;
  }

  #canBatch(write: Write): boolean {
    return this.driver.canBatch?.(write) ?? (write.newId === undefined && write.userId === undefined);
  }

  /** Sends one command by itself. */
  #send(operation: AnyOperation): void {
    try {
      const answer: unknown = operation.command.run(this.driver, operation.item, operation);
      if (!(answer instanceof Promise)) operation.settle(answer);
      else {
        answer.then(
          (raw: unknown) => operation.settle(raw),
          (error: unknown) => operation.fail(this.#classify(operation, error)),
        );
      }
    } catch (error) {
      operation.fail(this.#classify(operation, error));
    }
  }

  #classify({ operation, sent }: Call, error: unknown): SessionError {
    return classified(this.driver, error, operation, sent);
  }

  #readMany(batch: OperationBatch<string>): Promise<ReadonlyMap<string, Read | undefined>> {
    const { driver } = this;
    if (batch.size > 1 && driver.readMany !== undefined) return driver.readMany(batch, batch);
    return readShared(driver, batch);
  }
}

/** One command for several callers who read the same session in one tick. */
async function readShared(
  driver: StoreDriver,
  batch: OperationBatch<string>,
): Promise<ReadonlyMap<string, SessionRecord | undefined>> {
  const found = new Map<string, SessionRecord | undefined>();
  for (const id of batch.take()) found.set(id, await driver.read(id, batch));
  return found;
}

function writeOf(
  id: string,
  newId: string | undefined,
  { payload, userId, idleMs, absoluteMs }: SessionRename,
  { expectedVersion, limit }: UpdateOptions,
): Write {
  const gainsUser = typeof userId === "string";
  return { id, newId, payload, userId, idleMs, absoluteMs, expectedVersion, limit: gainsUser ? limit : undefined };
}

/** For drivers in this process: an operation that is over before anything could end it. */
const localCall: Call = {
  operation: "local",
  deadline: Number.POSITIVE_INFINITY,
  sent: true,
  reason: undefined,
  over: false,
  onOver: undefined,
  get signal(): AbortSignal {
    return new AbortController().signal;
  },
};

function ignore(): void {}

/** Returns the store of a driver: the guard in front of a backend. */
export function defineStore(driver: StoreDriver): SessionStore {
  return new DriverStore(driver);
}
