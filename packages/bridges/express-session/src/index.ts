export type { Callback } from "@sojourn/core/bridge";
export type { Request } from "./express-objects.js";
export {
  type DestroyByUserInput,
  ExpressSessionStore,
  type ExpressSessionStoreOptions,
  type StoredSession,
} from "./store.js";
