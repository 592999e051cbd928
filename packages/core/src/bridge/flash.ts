/** Key of the session data under which flash messages wait. */
const flashKey = "flash";

/** Adds a message for the next request that asks for this kind. */
export function leaveFlash(data: Record<string, unknown>, kind: string, message: string): void {
  const all = waitingIn(data);
  all.set(kind, [...(all.get(kind) ?? []), message]);
  data[flashKey] = Object.fromEntries(all);
}

/** Removes and returns the messages of this kind. */
export function takeFlash(data: Record<string, unknown>, kind: string): readonly string[] {
  const all = waitingIn(data);
  const waiting = all.get(kind);
  if (waiting === undefined) return [];
  all.delete(kind);
  data[flashKey] = all.size === 0 ? undefined : Object.fromEntries(all);
  return waiting;
}

function waitingIn(data: Record<string, unknown>): Map<string, readonly string[]> {
  return new Map(Object.entries((data[flashKey] ?? {}) as Record<string, readonly string[]>));
}
