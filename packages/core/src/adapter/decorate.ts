import type { StoreCallOptions } from "../contract/call.js";
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
import { guardMark } from "./driver-store.js";
import { isGuarded } from "./guard-store.js";

/** A store around a store. It behaves as that one; a subclass overrides what differs, as for {@link decorate}. */
export class StoreDecorator implements SessionStore {
  readonly capabilities: StoreCapabilities;
  declare readonly peek?: (id: string) => SessionRecord | undefined;
  declare readonly onEvicted?: (listener: (session: EndedSession) => void) => () => void;
  protected readonly store: SessionStore;

  constructor(store: SessionStore) {
    this.store = store;
    this.capabilities = store.capabilities;
    const { peek, onEvicted } = store;
    if (peek !== undefined) this.peek = (id) => peek.call(store, id);
    if (onEvicted !== undefined) this.onEvicted = (listener) => onEvicted.call(store, listener);
    if (isGuarded(store)) Object.defineProperty(this, guardMark, { value: this });
  }

  create(session: NewSession, options?: CreateOptions, call?: StoreCallOptions): Promise<CreateResult> {
    return this.store.create(session, options, call);
  }

  get(id: string, options?: ReadOptions, call?: StoreCallOptions): Promise<SessionRecord | undefined> {
    return this.store.get(id, options, call);
  }

  update(id: string, change: SessionChange, options?: UpdateOptions, call?: StoreCallOptions): Promise<UpdateResult> {
    return this.store.update(id, change, options, call);
  }

  touch(id: string, options: TouchOptions, call?: StoreCallOptions): Promise<boolean> {
    return this.store.touch(id, options, call);
  }

  rename(
    id: string,
    newId: string,
    change?: SessionRename,
    options?: RenameOptions,
    call?: StoreCallOptions,
  ): Promise<RenameResult> {
    return this.store.rename(id, newId, change, options, call);
  }

  destroy(id: string, call?: StoreCallOptions): Promise<EndedSession | undefined> {
    return this.store.destroy(id, call);
  }

  listByUser(userId: string, options?: ReadManyOptions, call?: StoreCallOptions): Promise<SessionRecord[]> {
    return this.store.listByUser(userId, options, call);
  }

  destroyByUser(userId: string, options?: DestroyByUserOptions, call?: StoreCallOptions): Promise<string[]> {
    return this.store.destroyByUser(userId, options, call);
  }

  sweep(options: SweepOptions, call?: StoreCallOptions): Promise<EndedSession[]> {
    return this.store.sweep(options, call);
  }

  scan(options?: ScanOptions, call?: StoreCallOptions): AsyncIterable<SessionRecord> {
    return this.store.scan(options, call);
  }

  count(call?: StoreCallOptions): Promise<SessionCounts> {
    return this.store.count(call);
  }

  clear(call?: StoreCallOptions): Promise<void> {
    return this.store.clear(call);
  }

  close(): Promise<void> {
    return this.store.close();
  }
}

/**
 * Returns a store that behaves as `store`, except for the members in `overrides`.
 *
 * An override passes its `call` on to the store behind it, which then keeps the deadline of the whole operation. An
 * override that makes several calls passes `{ deadline }`, because a duration passed twice would allow twice the time.
 */
export function decorate(store: SessionStore, overrides: Partial<SessionStore>): SessionStore {
  return Object.assign(new StoreDecorator(store), overrides);
}
