/** The process in which one subject of a scale suite is measured at one size. */
import { serve } from "./remote.mjs";

const [modulePath, name] = process.argv.slice(2);
const { measure } = await import(modulePath);

serve({ measure: (options) => measure(name, options) });
