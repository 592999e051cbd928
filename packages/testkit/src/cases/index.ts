import type { ConformanceCase } from "../case.js";
import { callOptionCases } from "./call-options.js";
import { callCases } from "./calls.js";
import { clockCases } from "./clock.js";
import { crashCases } from "./crash.js";
import { expiryCases, nativeExpiryCases } from "./expiry.js";
import { interleavingCases } from "./interleavings.js";
import { lifecycleCases } from "./lifecycle.js";
import { closeCases, setupCases } from "./lifetime.js";
import { limitCases } from "./limits.js";
import { outageCases } from "./outage.js";
import { corruptionCases, payloadCases } from "./payloads.js";
import { renameCases } from "./rename.js";
import { absoluteDeadlineCases, takeoverCases } from "./takeover.js";
import { namespaceCases, textCases, twinCases } from "./text.js";
import { touchCases } from "./touch.js";
import { destroyByUserCases, indexCases } from "./users.js";
import { writeCases } from "./writes.js";

/** Every case, in the order of the promises. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...lifecycleCases,
  ...takeoverCases,
  ...writeCases,
  ...expiryCases,
  ...nativeExpiryCases,
  ...touchCases,
  ...indexCases,
  ...destroyByUserCases,
  ...crashCases,
  ...textCases,
  ...namespaceCases,
  ...payloadCases,
  ...outageCases,
  ...corruptionCases,
  ...setupCases,
  ...closeCases,
  ...limitCases,
  ...clockCases,
  ...twinCases,
  ...renameCases,
  ...absoluteDeadlineCases,
  ...callCases,
  ...callOptionCases,
  ...interleavingCases,
];
