import { Socket } from "node:net";

/** The members of a response that are used here. HTTP/2's has them too. */
interface Connected {
  readonly socket: unknown;
  readonly req: { readonly httpVersionMajor: number };
  once(event: "finish", listener: () => void): unknown;
}

/** The complete response that a connection is about to send. */
const waiting = new WeakMap<Socket, Connected>();
const guarded = new WeakSet<Socket>();

/**
 * Delays a `destroy()` of the connection until a complete response that is held back has been sent.
 *
 * Express destroys the connection of a request whose handler throws after its response. By then Node has usually sent a
 * response that is not held back. An error of the connection itself still destroys it at once.
 */
export function deferDestroy(response: Connected): void {
  const { socket } = response;
  // A session of HTTP/2 serves other requests too, and looks like a socket.
  if (!(socket instanceof Socket) || response.req.httpVersionMajor !== 1) return;
  waiting.set(socket, response);
  if (guarded.has(socket)) return;
  guarded.add(socket);
  const { destroy } = socket;
  socket.destroy = (error) => {
    const due = error === undefined ? waiting.get(socket) : undefined;
    if (due === undefined) return destroy.call(socket, error);
    due.once("finish", () => destroy.call(socket));
    return socket;
  };
}

/** Ends the delay: the response is about to be sent, or to be answered otherwise. */
export function allowDestroy({ socket }: Connected): void {
  if (socket instanceof Socket) waiting.delete(socket);
}
