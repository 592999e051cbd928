/** Rows that a transaction has locked. Each has the column `now_ms`: the server's clock when it was read. */

import type { NewSession, Write } from "@sojourn/core/adapter";
import { createdRecord, text } from "./commands.js";
import type { MySQLValue } from "./pool.js";
import { type Row, readEnded } from "./record.js";

export function nowOf([row]: readonly Row[]): number | undefined {
  return row === undefined ? undefined : Number(row.now_ms);
}

export function isLive(row: Row): boolean {
  return Number(row.expires_at) > Number(row.now_ms);
}

export function isExpired(row: Row): boolean {
  return !isLive(row);
}

export function liveOfUser(rows: readonly Row[], userId: string, now: number): Row[] {
  return rows.filter((row) => readEnded(row).userId === userId && Number(row.expires_at) > now);
}

/** Ids compare byte for byte, as in the table. */
export function oldestFirst(a: Row, b: Row): number {
  const difference = Number(a.created_at) - Number(b.created_at);
  if (difference !== 0 || !Buffer.isBuffer(a.id) || !Buffer.isBuffer(b.id)) return difference;
  return Buffer.compare(a.id, b.id);
}

/** Returns the row as the write leaves it. */
export function changedRow(row: Row, { id, newId, payload, userId, idleMs, absoluteMs }: Write, now: number): Row {
  const endsAt = absoluteMs === undefined ? Number(row.ends_at) : now + absoluteMs;
  const expiresAt = Math.min(idleMs === undefined ? Number(row.expires_at) : now + idleMs, endsAt);
  const lastActiveAt = Number(row.last_active_at);
  return {
    ...row,
    id: Buffer.from(newId ?? id),
    user_id: userId === undefined ? (row.user_id ?? null) : text(userId),
    version: Number(row.version) + Number(payload !== undefined || userId !== undefined),
    last_active_at: idleMs === undefined ? lastActiveAt : Math.max(lastActiveAt, now),
    expires_at: expiresAt,
    ends_at: endsAt,
    sweep_at: Math.min(Number(row.sweep_at), expiresAt),
  };
}

/** Returns the values of `store`. */
export function storedValues(row: Row): MySQLValue[] {
  const columns = [row.version, row.last_active_at, row.expires_at, row.ends_at, row.sweep_at, row.pk].map(Number);
  return [asBytes(row.id), asBytes(row.user_id), ...columns];
}

/** Returns the values of `insert`. */
export function newValues(session: NewSession, payload: Buffer, now: number): MySQLValue[] {
  const { id, userId, version, createdAt, lastActiveAt, expiresAt, endsAt } = createdRecord(session, now);
  return [Buffer.from(id), text(userId), payload, version, createdAt, lastActiveAt, expiresAt, endsAt, expiresAt];
}

function asBytes(value: Row[string] | undefined): Buffer | null {
  return Buffer.isBuffer(value) ? value : null;
}
