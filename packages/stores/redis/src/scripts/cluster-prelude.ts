import { type Script, type ScriptOptions, script } from "./script.js";

/*
 * The beginning of every step on the key of one session, KEYS[1], on the node that holds it.
 *
 * The key holds one of three values:
 *
 *   a record: see record.ts;
 *   a tombstone, for a minute: "T", then entries of 25 characters. An entry is a membership that is denied: a put of it that
 *     is still on its way is refused. Or it is "R", padding and a claim: the rename of this claim has moved the session. Or it
 *     is "E" or "D", padding and the random part of a membership: a process that healed the index has ended or denied it, in
 *     place of the process that gave the order;
 *   an arrival, for a minute: "TA", claim 12, bytes of the old id 3, bytes of the record 10, old id, record. The session that
 *     a rename is about to move here. It is a tombstone for every reader until the key of the old id holds "R" with its claim.
 */

const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local header_bytes, longest_user = 128, 512
local header_pattern = '^2' .. string.rep('%d', 65)
local none, tombstone_ms = string.rep('-', 12), 60000

-- The record without its payload, or nil and why: 'missing', 'corrupt'; and the tombstone or arrival, if there is one.
local function read()
  local head = redis.pcall('GETRANGE', KEYS[1], 0, header_bytes + longest_user - 1)
  if head == '' then return nil, 'missing', 'T' end
  if type(head) == 'table' then
    -- Another type is a corrupt record. Any other refusal fails the script.
    if not string.find(head.err, 'WRONGTYPE', 1, true) then redis.call('GETRANGE', KEYS[1], 0, 0) end
    return nil, 'corrupt'
  end
  if string.sub(head, 1, 1) == 'T' then return nil, 'missing', redis.call('GET', KEYS[1]) end
  if not string.match(head, header_pattern) then return nil, 'corrupt' end
  local r = {
    expires = tonumber(string.sub(head, 2, 14)),
    active = tonumber(string.sub(head, 15, 27)),
    created = tonumber(string.sub(head, 28, 40)),
    ends = tonumber(string.sub(head, 41, 53)),
    version = tonumber(string.sub(head, 54, 63)),
    membership = string.sub(head, 67, 91),
    pending = string.sub(head, 92, 103),
    claim = string.sub(head, 104, 115),
    claimed_until = tonumber(string.sub(head, 116, 128)),
  }
  if not r.claimed_until then return nil, 'corrupt' end
  r.user = string.sub(head, header_bytes + 1, header_bytes + tonumber(string.sub(head, 64, 66)))
  return r
end

-- The rename that is about to move a session here, or nil. Its length is exact: releases that do not know of arrivals append
-- to what they take for a tombstone, and so end it.
local function arrival_in(value)
  if string.sub(value, 1, 2) ~= 'TA' then return nil end
  local id_bytes, record_bytes = tonumber(string.sub(value, 15, 17)), tonumber(string.sub(value, 18, 27))
  if not id_bytes or not record_bytes or #value ~= 27 + id_bytes + record_bytes then return nil end
  local record = string.sub(value, 28 + id_bytes)
  return {
    claim = string.sub(value, 3, 14), old_id = string.sub(value, 28, 27 + id_bytes), record = record,
    membership = string.sub(record, 67, 91),
  }
end

-- Whether a rename keeps others from writing. A rename that took too long no longer does, and must not win over a write that
-- ignored it: the write takes its claim away.
local function is_claimed(r)
  if r.claim ~= none and now <= r.claimed_until then return true end
  r.claim, r.claimed_until = none, 0
  return false
end

local function head_of(r)
  local times = string.format('2%013.0f%013.0f%013.0f%013.0f', r.expires, r.active, r.created, r.ends)
  local counts = string.format('%010.0f%03d', r.version, #r.user)
  return times .. counts .. r.membership .. r.pending .. r.claim .. string.format('%013.0f', r.claimed_until) .. r.user
end

local function payload_of(r) return redis.call('GETRANGE', KEYS[1], header_bytes + #r.user, -1) end

-- The user and everything before it, where neither has changed its length.
local function save_head(r) redis.call('SETRANGE', KEYS[1], 0, head_of(r)) end

local function save(r, payload)
  redis.call('SET', KEYS[1], head_of(r) .. payload, 'PXAT', string.format('%.0f', r.expires))
end

local function moved_by(claim) return 'R' .. string.rep('-', 12) .. claim end
local function healed(as, membership) return as .. string.rep('-', 12) .. string.sub(membership, 14) end

-- Where an entry stands in a tombstone, or nil.
local function find(tombstone, entry)
  for start = 2, #tombstone, 25 do
    if string.sub(tombstone, start, start + 24) == entry then return start end
  end
end

local function bury(tombstone) redis.call('SET', KEYS[1], tombstone, 'PX', tombstone_ms) end

local function answer(status, ...) return { status, now, ... } end
`;

/** Returns a step, which answers { status, now, ... }. */
export function step<Status extends string>(
  statuses: readonly Status[],
  lua: string,
  options?: ScriptOptions,
): Script<Status> {
  return script(statuses, prelude + lua, options);
}

/** Builds the record that ARGV 1 to 9 describe. Without `created`, the session is created now: expires and ends are durations. */
export const newRecord: string = `
local base = 0
if ARGV[5] == '' then base = now end
local new = {
  expires = base + tonumber(ARGV[3]), active = tonumber(ARGV[4]) or now, created = tonumber(ARGV[5]) or now,
  ends = base + tonumber(ARGV[6]), version = tonumber(ARGV[7]), user = ARGV[8], membership = ARGV[1], pending = none,
  claim = none, claimed_until = 0,
}
`;
