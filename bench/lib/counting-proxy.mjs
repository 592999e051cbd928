import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * A TCP relay that counts what passes. A round trip begins where a client speaks after its server has, or first: with one
 * caller these are the waits of that caller, one after the other, however many commands travel in each.
 *
 * @param {string} url - of the server
 */
export async function startCountingProxy(url) {
  const target = new URL(url);
  const counts = { roundTrips: 0, bytes: 0 };
  const sockets = new Set();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let clientSpoke = false;
    relay(client, upstream, (length) => {
      if (!clientSpoke) counts.roundTrips += 1;
      clientSpoke = true;
      counts.bytes += length;
    });
    relay(upstream, client, (length) => {
      clientSpoke = false;
      counts.bytes += length;
    });
  });
  function relay(from, to, count) {
    sockets.add(from);
    from.setNoDelay(true);
    from.on("data", (chunk) => {
      count(chunk.length);
      to.write(chunk);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  }
  await once(server.listen(0, "127.0.0.1"), "listening");
  const proxied = new URL(url);
  proxied.host = `127.0.0.1:${server.address().port}`;
  return {
    url: proxied.href.replace(/\/$/, target.pathname === "/" ? "/" : ""),
    counts,
    reset: () => Object.assign(counts, { roundTrips: 0, bytes: 0 }),
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
