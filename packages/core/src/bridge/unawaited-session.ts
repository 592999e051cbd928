import { RequestSession } from "./request-session.js";

/**
 * Makes a promise of a session refuse to be used as the session: an assignment, and the read of a member of a session, throw a
 * `TypeError` that says what to write. Without this, `request.session.userId = …` is lost without a word.
 */
export function refuseUnawaited<Session>(opening: Promise<Session>): Promise<Session> {
  return Object.setPrototypeOf(opening, unawaited);
}

const members: ReadonlySet<string | symbol> = new Set(
  [...Object.getOwnPropertyNames(RequestSession.prototype), "get", "set"].filter((name) => name !== "constructor"),
);

/** Reached by each name that neither the promise nor {@link unawaited} has. */
const refusing: object = new Proxy(Object.create(Promise.prototype), {
  get(promise, name, receiver) {
    if (!members.has(name)) return Reflect.get(promise, name, receiver);
    const instead = `write (await request.session).${String(name)}, or set the option "eager" of the bridge`;
    throw new TypeError(`@sojourn/core: the session is not loaded: ${instead}`);
  },
  set(promise, name, value, receiver) {
    // Node's async hooks set symbols.
    if (typeof name === "symbol") return Reflect.set(promise, name, value, receiver);
    const instead =
      name === "userId"
        ? "await (await request.session).regenerate({ userId })"
        : `(await request.session).data.${name} = …`;
    throw new TypeError(`@sojourn/core: the session is not loaded, so "${name}" would be lost: write ${instead}`);
  },
});

/** The members of promises stand before the Proxy, so that `await` does not reach it. */
const unawaited: object = Object.create(refusing, Object.getOwnPropertyDescriptors(Promise.prototype));
