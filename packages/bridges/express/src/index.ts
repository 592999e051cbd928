export type { RegenerateInput, SessionDraft, UserSession } from "@sojourn/core/bridge";
export {
  type EagerSessionOf,
  type ExpressSessions,
  expressSessions,
  type HabitSessionOf,
  type SessionOf,
  sessionOf,
} from "./express-sessions.js";
export type { HabitCall, HabitCookie, HabitMembers, HabitSession } from "./habits.js";
export type { ExpressSessionsOptions } from "./options.js";
export { RequestSession } from "./request-slot.js";
