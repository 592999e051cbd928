import type { BoundClient } from "../content/bound-client.js";
import type { SessionState } from "../content/content.js";
import type { DeepReadonly } from "../content/freeze.js";
import { isSessionError, type SessionError, type SessionErrorCode } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import type { Session, SessionInfo } from "./session.js";

/** What is kept about a user's live sessions, in JSON values: the answer to an access request, as under GDPR article 15. */
export interface UserExport<Data extends object> {
  readonly userId: string;
  /** Oldest first. */
  readonly sessions: readonly ExportedSession<Data>[];
  /** Sessions that are kept and cannot be read. Each is an `error` event, too. */
  readonly unreadable: readonly UnreadableSession[];
}

export interface ExportedSession<Data extends object> extends SessionInfo {
  readonly data: DeepReadonly<Data>;
  /** The client that the session is bound to, in hashes. Absent where it is bound to none. */
  readonly boundTo?: BoundClient;
}

/** What can be told of a session that cannot be read: only why, where the store's own record is damaged (`CORRUPT`). */
export interface UnreadableSession
  extends Partial<Pick<SessionInfo, "id" | "createdAt" | "lastActiveAt" | "expiresAt" | "endsAt">> {
  readonly code: SessionErrorCode;
  readonly message: string;
}

/**
 * @param corrupt - why the store could not read further records of this user
 * @throws SessionError when a session cannot be read for the moment: the answer would not be complete
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
