import type { StoreCallOptions } from "../contract/call.js";
import type { SessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import { defaultTimeoutMs } from "../contract/timeout.js";
import * as commands from "./commands.js";
import { type Command, classified } from "./commands.js";
import type { BatchLimits, Call, Read, StoreDriver, Touch, Write } from "./driver.js";
import { Gatherer, type OperationBatch } from "./gatherer.js";
import { type AnyOperation, Operation, type OperationOwner } from "./operation.js";
import { WriteOrder } from "./write-order.js";

/** Each session by itself, as soon as the tick is over: reads of one session still share a command. */
const oneByOne: BatchLimits = { max: 1, inFlight: Number.POSITIVE_INFINITY };

/** Sends commands to a driver: at once to one in this process, otherwise in order, in batches and under a deadline. */
export class Dispatcher {
  readonly timeoutMs: number;
  readonly #driver: StoreDriver;
  readonly #isLocal: boolean;
  readonly #owner: OperationOwner;
  readonly #order: WriteOrder;
  readonly #reads: Gatherer<string>;
  readonly #writes: Gatherer<Write> | undefined;
  readonly #touches: Gatherer<Touch> | undefined;

  constructor(driver: StoreDriver) {
    this.timeoutMs = driver.timeoutMs ?? defaultTimeoutMs;
    this.#driver = driver;
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
  }

  /** Reads of one tick travel together. A read joins a request only before it is sent. */
  read(id: string, call: StoreCallOptions | undefined): Promise<SessionRecord | undefined> {
    if (this.#isLocal) return this.#answer(commands.read, id);
    const operation = this.#operation(commands.read, id, call);
    if (!operation.over) this.#reads.add(operation);
    return operation.promise;
  }

  /** Sends a command that stands in no order. */
  run<Item, Raw, Result>(
    command: Command<Item, Raw, Result>,
    item: Item,
    call: StoreCallOptions | undefined,
  ): Promise<Result> {
    if (this.#isLocal) return this.#answer(command, item);
    const operation = this.#operation(command, item, call);
    if (!operation.over) this.#send(operation);
    return operation.promise;
  }

  /** Sends a command after the earlier ones of its session. */
  inOrder<Item, Raw, Result>(
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

  /** A driver in this process answers at once. */
  #answer<Item, Raw, Result>(command: Command<Item, Raw, Result>, item: Item): Promise<Result> {
    const answer = command.run(this.#driver, item, localCall);
    if (!isPromise(answer)) return Promise.resolve(command.toResult(answer, item));
    return Promise.resolve(answer).then(
      (raw) => command.toResult(raw, item),
      (error: unknown) => Promise.reject(classified(this.#driver, error, command.operation, false)),
    );
  }

  #operation<Item, Raw, Result>(
    command: Command<Item, Raw, Result>,
    item: Item,
    call: StoreCallOptions | undefined,
  ): Operation<Item, Raw, Result> {
    const operation = new Operation(this.#owner, command, item, call?.timeoutMs ?? this.timeoutMs, call ?? {});
    if (call?.deadline !== undefined && operation.deadline <= performance.now()) {
      operation.sent = false;
      operation.expire();
    }
    return operation;
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
    return this.#driver.canBatch?.(write) ?? (write.newId === undefined && write.userId === undefined);
  }

  /** Sends one command by itself. */
  #send(operation: AnyOperation): void {
    try {
      const answer: unknown = operation.command.run(this.#driver, operation.item, operation);
      if (!isPromise(answer)) operation.settle(answer);
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
    return classified(this.#driver, error, operation, sent);
  }

  #readMany(batch: OperationBatch<string>): Promise<ReadonlyMap<string, Read | undefined>> {
    const driver = this.#driver;
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

/** Whether an answer comes later. A foreign store may use another kind of promise than the engine's. */
function isPromise(answer: unknown): answer is Promise<unknown> {
  if (answer instanceof Promise) return true;
  return typeof answer === "object" && answer !== null && "then" in answer && typeof answer.then === "function";
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
