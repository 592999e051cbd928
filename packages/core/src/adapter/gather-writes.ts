/** As much of a socket of Node.js as it takes to gather what is written to it. */
export interface GatheringSocket {
  readonly writableCorked: number;
  cork(): void;
  uncork(): void;
}

/**
 * For adapters, before they write to a socket: what is written to it in this tick leaves in one system call. One for each
 * request, as drivers have it, costs as much as all else that a small read does.
 */
export function gatherWrites(socket: GatheringSocket | undefined): void {
  if (socket === undefined || socket.writableCorked > 0) return;
  socket.cork();
  process.nextTick(() => socket.uncork());
}
