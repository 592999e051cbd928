import { tokenToId } from "@sojourn/core/bridge";

interface Hashed {
  readonly token: string;
  readonly id: string;
}

const hashedLast = new WeakMap<object, Hashed>();

/** Returns the storage id of a client's secret. Hashes it once for all log lines of a request. */
export function hashOf(request: object, token: string): string {
  const known = hashedLast.get(request);
  if (known?.token === token) return known.id;
  const id = tokenToId(token);
  hashedLast.set(request, { token, id });
  return id;
}
