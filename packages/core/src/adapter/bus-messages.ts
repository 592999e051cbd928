import type { BusMessage } from "../contract/bus.js";

/*
 * The text of a message on a bus between processes: the message itself as JSON. Scripts and triggers of a server write the
 * same text.
 */

/** The most bytes of a text: PostgreSQL carries fewer than 8,000. */
const maxBytes = 7_900;
/** The most messages that wait for a bus to come up. */
const maxWaiting = 1_000;

/** Returns the texts of a message. The ids of one message may need several. */
export function encodeBusMessage(message: BusMessage): string[] {
  const text = JSON.stringify(message);
  if (message.kind !== "ended" || Buffer.byteLength(text) <= maxBytes) return [text];
  const half = Math.ceil(message.ids.length / 2);
  return [message.ids.slice(0, half), message.ids.slice(half)].flatMap((ids) =>
    encodeBusMessage({ kind: "ended", ids }),
  );
}

/** Reads a text. Of an unknown kind, which a later release may send, any session may be meant. */
export function decodeBusMessage(text: string): BusMessage {
  try {
    const message: unknown = JSON.parse(text);
    return isBusMessage(message) ? message : { kind: "cleared" };
  } catch {
    return { kind: "cleared" };
  }
}

function isBusMessage(message: unknown): message is BusMessage {
  if (typeof message !== "object" || message === null) return false;
  const { kind, id, ids, newId, version }: Record<string, unknown> = { ...message };
  switch (kind) {
    case "ended":
      return Array.isArray(ids) && ids.every((each) => typeof each === "string");
    case "renamed":
      return typeof id === "string" && typeof newId === "string";
    case "changed":
      return typeof id === "string" && (version === undefined || typeof version === "number");
    default:
      return kind === "cleared";
  }
}

/** Messages that wait for a bus to come up. */
export class WaitingMessages {
  #messages: BusMessage[] = [];

  add(message: BusMessage): void {
    if (this.#messages.length < maxWaiting) this.#messages.push(message);
    else this.#messages = [{ kind: "cleared" }];
  }

  /** Returns the messages and forgets them. */
  take(): readonly BusMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }
}
