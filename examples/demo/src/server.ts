import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createApp } from "./app.js";
import type { Config } from "./config.js";
import { openStore } from "./stores.js";

export interface Demo {
  /** `http://127.0.0.1:3000` */
  readonly url: string;
  /** Lets requests in flight end, then closes the store. */
  stop(): Promise<void>;
}

export async function startDemo({ port, secret, storeUrl, secureCookie }: Config): Promise<Demo> {
  const store = await openStore(storeUrl);
  const server = createServer(createApp({ store, secret, secureCookie }));
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch (error) {
    await store.close();
    throw error;
  }
  // A server that listens on TCP has such an address.
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    async stop() {
      await close(server);
      await store.close();
    },
  };
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
