import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy in front of one server, whose connections can be cut or fall silent. */
export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isRefusing = false;

  private constructor(targetPort: number) {
    this.#server = createServer({ noDelay: true }, (near) => {
      if (this.#isRefusing) {
        near.destroy();
        return;
      }
      const far = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      const end = (): void => {
        this.#pairs.delete(pair);
        near.destroy();
        far.destroy();
      };
      for (const socket of pair) socket.on("error", end).on("close", end);
      near.pipe(far);
      far.pipe(near);
    });
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Breaks all connections; new ones pass. */
  cut(): void {
    for (const [near] of [...this.#pairs]) near.destroy();
  }

  /** Breaks all connections and refuses new ones until the returned function is called. */
  refuse(): () => void {
    this.#isRefusing = true;
    this.cut();
    return () => {
      this.#isRefusing = false;
    };
  }

  /** Nothing passes on the connections of this moment until the returned function breaks them; new ones pass. */
  silence(): () => void {
    const silenced = [...this.#pairs];
    for (const [near, far] of silenced) {
      near.unpipe(far).pause();
      far.unpipe(near).pause();
    }
    return () => {
      for (const [near] of silenced) near.destroy();
    };
  }

  stop(): void {
    this.cut();
    this.#server.close();
  }
}
