import type { RegenerateInput } from "@sojourn/core/bridge";
import { packageName } from "./framework.js";
import type { RequestSession } from "./request-session.js";

/**
 * `request.session` with `eager: true`: the session, and the members that plugins for @fastify/session and
 * @fastify/secure-session call. The keys of the data are its own properties, unless the session has a member of that name.
 */
export interface EagerSession<Data extends object> extends RequestSession<Data> {
  get<Key extends keyof Data>(key: Key): Data[Key] | undefined;
  set<Key extends keyof Data>(key: Key, value: Data[Key] | undefined): void;
  /**
   * As {@link RequestSession.regenerate}. As in @fastify/session, a list of keys keeps only these, and no argument keeps
   * nothing. Both also remove the user, because they stand at a login and a logout.
   */
  regenerate(input?: RegenerateInput<Data> | readonly (keyof Data)[]): Promise<boolean>;
}

type Data = Record<string, unknown>;

/** Returns the object that an application with `eager: true` sees. */
export function eagerSession(session: RequestSession<object>): EagerSession<object> {
  // Keys are text, and the handler adds the members.
  return new Proxy(session as RequestSession<Data>, handler) as unknown as EagerSession<object>;
}

const added: ReadonlySet<string | symbol> = new Set(["get", "set", "regenerate"]);

const handler: ProxyHandler<RequestSession<Data>> = {
  get(session, key) {
    switch (key) {
      case "get":
        return (name: string) => session.data[name];
      case "set":
        return (name: string, value: unknown) => {
          session.data[name] = value;
        };
      case "regenerate":
        return (input?: RegenerateInput<Data> | readonly string[]) => regenerate(session, input);
    }
    if (!(key in session)) return Reflect.get(session.data, key);
    // A session has private members, which the Proxy has not.
    const member: unknown = Reflect.get(session, key, session);
    return typeof member === "function" && key !== "constructor" ? member.bind(session) : member;
  },

  set(session, key, value) {
    if (!isMember(session, key)) return Reflect.set(session.data, key, value);
    const instead =
      key === "userId" ? "await request.session.regenerate({ userId })" : `request.session.data.${String(key)} = …`;
    throw new TypeError(`${packageName}: "${String(key)}" is a member of the session: write ${instead}`);
  },

  has: (session, key) => isMember(session, key) || key in session.data,
  deleteProperty: (session, key) => Reflect.deleteProperty(session.data, key),
  defineProperty: (session, key, descriptor) => Reflect.defineProperty(session.data, key, descriptor),
  ownKeys: (session) => Reflect.ownKeys(session.data),
  getOwnPropertyDescriptor: (session, key) => Reflect.getOwnPropertyDescriptor(session.data, key),
};

function isMember(session: RequestSession<Data>, key: string | symbol): boolean {
  return added.has(key) || key in session;
}

function regenerate(session: RequestSession<Data>, input: RegenerateInput<Data> | readonly string[] | undefined) {
  if (isKeys(input)) return session.regenerate({ keep: input, userId: null, beginIfEnded: true });
  if (input !== undefined) return session.regenerate(input);
  if (!session.isNew) return session.regenerate({ keep: false, userId: null });
  // Nothing is stored that the visitor could log out of.
  for (const key of Object.keys(session.data)) delete session.data[key];
  return Promise.resolve(true);
}

function isKeys(input: RegenerateInput<Data> | readonly string[] | undefined): input is readonly string[] {
  return Array.isArray(input);
}
