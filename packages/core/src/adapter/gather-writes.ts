/** The members of a Node.js socket that gathering needs. */
export interface GatheringSocket {
  readonly writableCorked: number;
  cork(): void;
  uncork(): void;
}

/**
 * Sends the writes of one tick to a socket in one system call. Adapters call it before they write: a system call for
 * each request costs as much as the rest of a small read.
 */
export function gatherWrites(socket: GatheringSocket | undefined): void {
  if (socket === undefined || socket.writableCorked > 0) return;
  socket.cork();
  process.nextTick(() => socket.uncork());
}
