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
import { population, sessionData, userOf } from "./session-data.mjs";

export const idleMs = 30 * 60_000;
const absoluteMs = 12 * 3_600_000;

/**
 * Touches are throttled to a sixtieth of the idle timeout: a visitor whose page asks twice a second, for half an hour, has
 * one request in sixty that writes. A benchmark is over before any deadline has moved that far, so it writes by count.
 */
const requestsPerTouch = 60;

/**
 * The subjects that a backend gives, by name: at which level each of them works, and how to open it.
 *
 * @param {object} backend - of backends/
 */
export function subjectsOf(backend) {
  const { drivers, peers, open, openThrough = {}, measuresAnonymous = false } = backend;
  const subjects = {};
  for (const [name, openDriver] of Object.entries(drivers)) {
    subjects[name] = { level: "driver", open: async (place) => driverSubject(await openDriver(place), place) };
  }
  for (const [name, openPeer] of Object.entries(peers)) {
    subjects[name] = { level: "peer", open: async (place) => peerSubject(await openPeer(place), place) };
  }
  const ours = [
    { suffix: "", owner: userOf, open },
    ...(measuresAnonymous ? [{ suffix: ", anonymous", owner: nobody, open }] : []),
    ...Object.entries(openThrough).map(([driver, open]) => ({ suffix: `, ${driver}`, owner: userOf, open })),
  ];
  for (const { suffix, owner, open } of ours) {
    for (const [level, subject] of [
      ["store", storeSubject],
      ["manager", managerSubject],
    ]) {
      subjects[`Sojourn ${level}${suffix}`] = {
        level,
        open: async (place) => {
          const namespace = `${level}_${owner.name}_${place.namespace}`;
          return subject(await open({ ...place, namespace }), place, owner);
        },
      };
    }
  }
  return subjects;
}

function nobody() {
  return undefined;
}

/** The operations of a raw driver on an existing text. `touch` is absent where the backend has none. */
function driverSubject({ write, read, touch, remove, close }, { payloadBytes }) {
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
function peerSubject({ store, close }, { payloadBytes }) {
  const withCookie = (data) => ({ cookie: new session.Cookie({ maxAge: idleMs }), ...data });
  // The cookie is part of what it stores: payloads are as long as everybody's.
  const cookieBytes = JSON.stringify(withCookie({})).length - 1;
  const sessions = dataOfPopulation(payloadBytes - cookieBytes).map(withCookie);
  const call = (method, ...args) =>
    new Promise((resolve, reject) => {
      store[method](...args, (error, value) => (error ? reject(error) : resolve(value)));
    });
  let writes = 0;
  const set = (id, n) => call("set", id, { ...sessions[n % population], views: 10_000 + (++writes % 10_000) });
  const touch = typeof store.touch === "function" ? (id, n) => call("touch", id, sessions[n]) : undefined;
  return {
    create: set,
    get: (id) => call("get", id),
    update: set,
    ...(touch && { touch }),
    /** Without `touch` a session is kept alive by saving it: `resave: true`. */
    async request(id, n) {
      await call("get", id);
      await (touch ?? set)(id, n);
    },
    destroy: (id) => call("destroy", id),
    close,
  };
}

/** A Sojourn store itself: texts in, records out. */
function storeSubject({ store, close }, { payloadBytes }, owner) {
  const text = JSON.stringify(sessionData(0, payloadBytes));
  const versions = new Array(population).fill(1);
  return {
    create: (id, n) => store.create({ id, userId: owner(n), payload: text, idleMs, absoluteMs }),
    get: (id) => store.get(id),
    async update(id, n) {
      const result = await store.update(id, { payload: text, idleMs }, { expectedVersion: versions[n] });
      if (result.status !== "updated") throw new Error(`update: ${result.status}`);
      versions[n] = result.record.version;
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
function managerSubject({ store, close }, { payloadBytes }, owner) {
  const data = dataOfPopulation(payloadBytes - '{"data":,"metadata":{}}'.length);
  const manager = new SessionManager({ store });
  const eager = new SessionManager({ store, touchAfter: 0, sweep: false });
  const handles = new Map();
  let requests = 0;
  return {
    async create(id, n) {
      const handle = await eager.byId.create(id, { data: data[n % population], userId: owner(n) });
      if (n < population) handles.set(n, handle);
    },
    get: (id) => manager.byId.get(id, { touch: false }),
    async update(_id, n) {
      const saved = await handles
        .get(n)
        .update((before) => ({ ...before, views: 10_000 + ((before.views + 1) % 10_000) }));
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

function dataOfPopulation(bytes) {
  return Array.from({ length: population }, (_, n) => sessionData(n, bytes));
}
