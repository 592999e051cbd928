import { randomBytes } from "node:crypto";
import { MemoryStore } from "@sojourn/memory";
import pino from "pino";
import { createApp } from "./app.js";

const production = process.env.NODE_ENV === "production";
const secret = process.env.SESSION_SECRET ?? (production ? "" : randomBytes(32).toString("base64url"));
const app = await createApp({ store: new MemoryStore(), secret, secure: production, log: pino.destination(1) });
await app.listen({ port: Number(process.env.PORT ?? 3000), host: "127.0.0.1" });
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void app.close());
