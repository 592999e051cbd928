import { SessionError } from "../contract/errors.js";

/**
 * Makes the objects of a class throw, with the fix, where a session middleware gets one of them in place of a bridge's store.
 * express-session first assigns `generate` to its store; @fastify/session calls `set`.
 *
 * @param option - the option of the bridge's store that takes such an object
 */
export function refuseFrameworks(prototype: object, option: "store" | "manager"): void {
  const refuse = (): never => {
    const message =
      `a framework needs the store of a bridge: for express-session write session({ store: new ExpressSessionStore({ ${option} }) }) ` +
      `with @sojourn/express-session, for @fastify/session new FastifySessionStore({ ${option} }) with @sojourn/fastify`;
    throw new SessionError("INVALID_OPTION", `@sojourn/core: ${message}`);
  };
  Object.defineProperty(prototype, "generate", { configurable: true, set: refuse });
  Object.defineProperty(prototype, "set", { configurable: true, writable: true, value: refuse });
}
