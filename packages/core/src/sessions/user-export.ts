import type { BoundClient } from "../content/bound-client.js";
import type { SessionState } from "../content/content.js";
import type { DeepReadonly } from "../content/freeze.js";
import { isSessionError, type SessionError, type SessionErrorCode } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import type { Session, SessionInfo } from "./session.js";

/**
 * The stored data of a user's live sessions, in JSON values: the answer to an access request, as under GDPR article 15.
 */
export interface UserExport<Data extends object> {
  readonly userId: string;
  /** Oldest first. */
  readonly sessions: readonly ExportedSession<Data>[];
  /** The stored sessions that cannot be read. Each also becomes an `error` event. */
  readonly unreadable: readonly UnreadableSession[];
}

export interface ExportedSession<Data extends object> extends SessionInfo {
  readonly data: DeepReadonly<Data>;
  /** The client that the session is bound to, as hashes. Absent for a session without binding. */
  readonly boundTo?: BoundClient;
}

/**
 * The known members of a session that cannot be read. If the store's own record is damaged (`CORRUPT`), only the reason
 * is known.
 */
export interface UnreadableSession
  extends Partial<Pick<SessionInfo, "id" | "createdAt" | "lastActiveAt" | "expiresAt" | "endsAt">> {
  readonly code: SessionErrorCode;
  readonly message: string;
}

/**
 * Exports the sessions of a user.
 *
 * @param corrupt - the errors of the records that the store could not read
 * @throws SessionError when a session cannot be read at present: the result would be incomplete
 */
export async function exportSessions<Data extends object>(
  userId: string,
  records: readonly SessionRecord[],
  corrupt: readonly SessionError[],
  decode: (record: SessionRecord) => Promise<SessionState>,
  open: (state: SessionState) => Session<Data>,
): Promise<UserExport<Data>> {
  const sessions: ExportedSession<Data>[] = [];
  const unreadable = corrupt.map(reasonOf);
  for (const record of records) {
    try {
      const state = await decode(record);
      const session = open(state);
      const { boundTo } = state.content;
      sessions.push({ ...session.toJSON(), data: session.data, ...(boundTo && { boundTo }) });
    } catch (error) {
      if (!isSessionError(error, "DECODE")) throw error;
      const { id, createdAt, lastActiveAt, expiresAt, endsAt } = record;
      unreadable.push({ id, createdAt, lastActiveAt, expiresAt, endsAt, ...reasonOf(error) });
    }
  }
  return { userId, sessions, unreadable };
}

function reasonOf({ code, message }: SessionError): UnreadableSession {
  return { code, message };
}
