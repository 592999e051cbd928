/**
 * How each kind of subject does the operations of the suites, with the same data for all.
 *
 * | operation        | driver                     | peer, as express-session calls it | store                  | manager                          |
 * | ---------------- | -------------------------- | --------------------------------- | ---------------------- | -------------------------------- |
 * | `create`         | write of a text            | `set`                             | `create`               | `create`: encodes                |
 * | `get`            | read of a text             | `get`: decodes                    | `get`: a text          | `get`: decodes and freezes       |
 * | `update`         | write of a text            | `set`: encodes                    | `update` at a version  | `update`: encodes, at a version  |
 * | `touch`          | where the backend has one  | `touch`                           | `touch`                | `touch`                          |
 * | `request`        | read, then touch           | `get`, then `touch`               |                        | `get`: one in sixty touches      |
 * | `requestWriting` |                            |                                   |                        | `get`: each touches              |
 * | `destroy`        | delete                     | `destroy`                         | `destroy`              | `destroy`                        |
 */
import { SessionManager } from "@sojourn/core";
import session from "express-session";
import { sessionData, userOf } from "./session-data.mjs";

export const idleMs = 30 * 60_000;
export const absoluteMs = 12 * 3_600_000;

/**
 * Touches are throttled to a sixtieth of the idle timeout: a visitor whose page asks twice a second, for half an hour, has
 * one request in sixty that writes. A benchmark is over before any deadline has moved that far, so it writes by count.
 */
const requestsPerTouch = 60;

/** A raw driver: what it does with a text that is there already. `touch` is absent where the backend has none. */
export function driverSubject({ write, read, touch, remove, close }, { payloadBytes }) {
  const text = JSON.stringify(sessionData(0, payloadBytes));
  return {
    create: (id) => write(id, text),
    get: read,
    update: (id) => write(id, text),
    ...(touch && {
      touch,
      async request(id) {
        await read(id);
        await touch(id);
      },
    }),
    destroy: remove,
    close,
  };
}

/** A store of express-session, by the calls that express-session makes. */
export function peerSubject(store, { payloadBytes }, close) {
  const blank = { cookie: new session.Cookie({ maxAge: idleMs }) };
  const cookieBytes = JSON.stringify(blank).length - "{},".length + 1;
  const cached = new Map();
  const sessionOf = (n) => {
    let data = cached.get(n);
    if (data === undefined) {
      data = { cookie: new session.Cookie({ maxAge: idleMs }), ...sessionData(n, payloadBytes - cookieBytes) };
      cached.set(n, data);
    }
    return data;
  };
  const call = (method, ...args) =>
    new Promise((resolve, reject) => {
      store[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
    });
  let views = 0;
  const set = (id, n) => call("set", id, { ...sessionOf(n), views: 10_000 + (views++ % 10_000) });
  const hasTouch = typeof store.touch === "function";
  const touch = (id, n) => call("touch", id, sessionOf(n));
  return {
    create: (id, n) => (n < 2_048 ? call("set", id, sessionOf(n)) : call("set", id, sessionOf(n % 1_024))),
    get: (id) => call("get", id),
    update: set,
    ...(hasTouch && { touch }),
    /** Without `touch` a session is kept alive by saving it: `resave: true`. */
    async request(id, n) {
      await call("get", id);
      await (hasTouch ? touch : set)(id, n);
    },
    destroy: (id) => call("destroy", id),
    close,
  };
}

/** A Sojourn store itself: texts in, records out. */
export function storeSubject(store, { payloadBytes }, close, userIdOf = userOf) {
  const text = JSON.stringify(sessionData(0, payloadBytes));
  const versions = new Map();
  return {
    async create(id, n) {
      await store.create({ id, userId: userIdOf(n), payload: text, idleMs, absoluteMs });
      versions.set(n, 1);
    },
    get: (id) => store.get(id),
    async update(id, n) {
      const result = await store.update(id, { payload: text, idleMs }, { expectedVersion: versions.get(n) });
      if (result.status !== "updated") throw new Error(`update: ${result.status}`);
      versions.set(n, result.record.version);
    },
    touch: (id) => store.touch(id, { idleMs }),
    destroy: (id) => store.destroy(id),
    async close() {
      await store.close();
      await close?.();
    },
  };
}

/** A Sojourn store behind its manager, as an application or a bridge uses it. */
export function managerSubject(store, { payloadBytes }, close, userIdOf = userOf) {
  const metadataBytes = '{"data":,"metadata":{}}'.length;
  const manager = new SessionManager({ store });
  const eager = new SessionManager({ store, touchAfter: 0, sweep: false });
  const handles = new Map();
  let requests = 0;
  return {
    async create(id, n) {
      const data = sessionData(n % 1_024, payloadBytes - metadataBytes);
      const handle = await eager.byId.create(id, { data, userId: userIdOf(n) });
      if (n < 1_024) handles.set(n, handle);
    },
    get: (id) => manager.byId.get(id, { touch: false }),
    async update(_id, n) {
      const saved = await handles.get(n).update((data) => ({ ...data, views: 10_000 + ((data.views + 1) % 10_000) }));
      if (!saved) throw new Error("update: the session is gone");
    },
    touch: (_id, n) => handles.get(n).touch(),
    request: (id) => (++requests % requestsPerTouch === 0 ? eager : manager).byId.get(id),
    requestWriting: (id) => eager.byId.get(id),
    destroy: (id) => manager.destroyById(id),
    async close() {
      await manager.close();
      await eager.close();
      await close?.();
    },
  };
}
