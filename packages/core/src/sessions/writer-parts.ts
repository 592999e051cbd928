import type { Activity } from "./activity.js";
import type { Contents } from "./contents.js";
import type { RegenerationGrace } from "./regeneration-grace.js";
import type { StoreCalls } from "./store-calls.js";
import type { WriteReports } from "./write-reports.js";

/** The parts that the writer and the renamer work with. */
export interface WriterParts {
  readonly calls: StoreCalls;
  readonly contents: Contents;
  readonly activity: Activity;
  readonly reports: WriteReports;
  readonly grace: RegenerationGrace | undefined;
}
