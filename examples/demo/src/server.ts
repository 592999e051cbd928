import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ExpressSessionStore } from "@sojourn/express-session";
import { createApp } from "./app.js";
import type { Config } from "./config.js";
import { LiveSessions } from "./live.js";
import { openStore } from "./stores.js";

export interface Demo {
  /** `http://127.0.0.1:3000` */
  readonly url: string;
  /** Lets requests in flight end, for ten seconds at most, then closes the store. */
  stop(): Promise<void>;
}

/** Opens the store and serves the demo on this machine alone; port 0 takes a free one. */
export async function startDemo({ port, secret, storeUrl }: Config): Promise<Demo> {
  const { backend, store } = await openStore(storeUrl);
  const sessions = new ExpressSessionStore({
    store,
    userId: (data) => data.user?.id,
    metadata: (req) => ({ ip: req.ip, userAgent: req.get("user-agent") }),
  });
  const live = new LiveSessions(sessions.manager);
  const server = createServer(createApp({ sessions, live, backend, secret }));
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch (error) {
    await sessions.manager.close();
    throw error;
  }
  // A server that listens on TCP has such an address.
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    async stop() {
      live.close();
      // Also ends connections that are kept alive without a request on them.
      server.close();
      const deadline = setTimeout(() => server.closeAllConnections(), 10_000);
      await once(server, "close");
      clearTimeout(deadline);
      await sessions.manager.close();
    },
  };
}
