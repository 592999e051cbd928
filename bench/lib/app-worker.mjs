/** The process of one application under test: serves HTTP, and tells what CPU time it has taken. */
import { serve } from "./remote.mjs";

const [modulePath, name] = process.argv.slice(2);
const { subjects } = await import(modulePath);
let app;

serve({
  /** @returns the port */
  async open(place) {
    app = await subjects[name].open(place);
    return app.port;
  },
  collectGarbage() {
    globalThis.gc();
  },
  /** @returns microseconds */
  cpu() {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  async close() {
    await app?.close();
  },
});
