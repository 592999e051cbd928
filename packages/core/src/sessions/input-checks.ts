import type { CallOptions } from "../contract/call.js";
import { type InputCheck, inputCheck } from "../contract/input-check.js";
import { userIdText } from "../contract/user-id.js";
import type { ClientOptions } from "./client.js";
import type {
  CreateInput,
  DestroyByUserInput,
  GetOptions,
  RenameInput,
  SaveOptions,
  TouchInput,
  Write,
  WriteOptions,
} from "./inputs.js";

/*
 * The checks of inputs, one for each method. A method of `SessionManager` and its namesake of `SessionsById` share one.
 */

const call = { signal: true, timeoutMs: true } as const;
const client = { client: true } as const;
const lifetime = { idleTimeout: true, absoluteTimeout: true, persistent: true } as const;
const write = { ...call, userId: true, idleMs: true } as const;
const touch = { ...call, idleMs: true, shorten: true } as const;

export const checkCreate: InputCheck = inputCheck<CreateInput<object>>("create", {
  data: true,
  userId: true,
  authenticated: true,
  metadata: true,
  ...lifetime,
  ...client,
  ...call,
});
export const checkGet: InputCheck = inputCheck<GetOptions>("get", {
  touch: true,
  fresh: true,
  onUnreadable: true,
  ...client,
  ...call,
});
/** `update` by a token. */
export const checkUpdateByToken: InputCheck = inputCheck<WriteOptions & ClientOptions>("update", {
  ...write,
  ...client,
});
/** `update` of a loaded session. */
export const checkUpdate: InputCheck = inputCheck<WriteOptions>("update", write);
export const checkSave: InputCheck = inputCheck<SaveOptions>("save", {
  ...write,
  base: true,
  shorten: true,
  onConflict: true,
});
export const checkTouchByToken: InputCheck = inputCheck<TouchInput & ClientOptions>("touch", { ...touch, ...client });
export const checkTouch: InputCheck = inputCheck<TouchInput>("touch", touch);
export const checkRegenerate: InputCheck = inputCheck<RenameInput<object>>("regenerate", {
  userId: true,
  update: true,
  grace: true,
  leaveMark: true,
  authenticated: true,
  ...lifetime,
  ...client,
  ...call,
});
export const checkDestroyByUser: InputCheck = inputCheck<DestroyByUserInput>("destroyByUser", {
  except: true,
  ...call,
});
export const checkLocate: InputCheck = inputCheck<CallOptions>("locate", call);
export const checkDestroy: InputCheck = inputCheck<CallOptions>("destroy", call);
export const checkListByUser: InputCheck = inputCheck<CallOptions>("listByUser", call);
export const checkExportUser: InputCheck = inputCheck<CallOptions>("exportUser", call);
export const checkIsMoved: InputCheck = inputCheck<CallOptions>("isMoved", call);
export const checkScan: InputCheck = inputCheck<CallOptions>("scan", call);
export const checkCount: InputCheck = inputCheck<CallOptions>("count", call);
export const checkClear: InputCheck = inputCheck<CallOptions>("clear", call);
export const checkStats: InputCheck = inputCheck<CallOptions>("stats", call);

/**
 * Returns the options of a write with its user as text.
 *
 * @throws SessionError `INVALID_ARGUMENT`
 */
export function withUserText<Options extends WriteOptions>(options: Options): Write<Options> {
  const userId = userIdText(options.userId);
  // Copies only for a number: nothing else changes.
  return userId === options.userId ? (options as Write<Options>) : { ...options, userId };
}
