import { type Call, SessionError } from "@sojourn/core/adapter";
import type { Connection } from "./connection.js";
import { select } from "./statement.js";

/** Up to this size a payload is sent unasked: no server in use has a smaller max_allowed_packet. */
const alwaysFitsBytes = 65_536;
/** The size of a request beside the payload: three ids at most, numbers and framing. */
const requestOverheadBytes = 4_096;

/** Refuses payloads beyond the server's max_allowed_packet: the server would close the connection. */
export class PacketSize {
  readonly #connection: Connection;
  #maxBytes: number | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** @throws SessionError `PAYLOAD_TOO_LARGE` */
  async encode(payload: string, call: Call): Promise<Buffer> {
    const bytes = Buffer.from(payload);
    if (bytes.length <= alwaysFitsBytes) return bytes;
    this.#maxBytes ??= await this.#read(call);
    const limit = this.#maxBytes - requestOverheadBytes;
    if (bytes.length <= limit) return bytes;
    const message = `@sojourn/mysql: a payload of ${bytes.length} bytes exceeds the ${limit} bytes that max_allowed_packet of this server allows`;
    throw new SessionError("PAYLOAD_TOO_LARGE", message);
  }

  #read(call: Call): Promise<number> {
    const ask = async (connection: Parameters<typeof select>[0]): Promise<number> => {
      const [row] = await select(connection, "SELECT @@max_allowed_packet AS bytes", []);
      return Number(row?.bytes);
    };
    return this.#connection.run(call, ask, { isRead: true });
  }
}
