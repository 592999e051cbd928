import { newRecord, step } from "./cluster-prelude.js";
import type { Script } from "./script.js";

/* Steps on one session of a Cluster. */

/**
 * Stores the record of a session that is created.
 *
 * ARGV: 1 membership, 2 not after or "", 3 expires, 4 active or "", 5 created or "", 6 ends, 7 version, 8 user, 9 payload,
 * 10 age ms and 11 inactive ms where 5 is "". Answers `stored`, also where it has been stored by this very put; `duplicate`;
 * `past` when it has expired on the way; `ended` when its membership has been ordered dead; `late`.
 */
export const put: Script<"stored" | "duplicate" | "past" | "ended" | "late"> = step(
  ["stored", "duplicate", "past", "ended", "late"],
  `
local r, failure, tombstone = read()
if r and r.membership == ARGV[1] then return answer('stored') end
if r or failure == 'corrupt' or arrival_in(tombstone) then return answer('duplicate') end
if find(tombstone, ARGV[1]) then return answer('ended') end
if ARGV[2] ~= '' and now > tonumber(ARGV[2]) then return answer('late') end
${newRecord}
if ARGV[5] == '' then
  new.created, new.active = math.max(now - tonumber(ARGV[10]), 0), math.max(now - tonumber(ARGV[11]), 0)
end
if new.expires < now then return answer('past') end
save(new, ARGV[9])
return answer('stored')
`,
);

/**
 * Ends the session if it is of this membership or on its way there, or denies the membership to a put that is yet to come.
 *
 * ARGV: 1 membership, 2 for how long a join may still be followed by its put, 3 "heal" when another process has given the
 * order. Answers `ended`, or `denied` when the put may still come, also where a process that healed the index has done so for
 * this order; `arriving`, old id and claim when it ended an arrival; `gone` when there was nothing to end; `other` when the
 * session is of another membership; `corrupt`.
 */
export const end: Script<"ended" | "arriving" | "denied" | "gone" | "other" | "corrupt"> = step(
  ["ended", "arriving", "denied", "gone", "other", "corrupt"],
  `
local r, failure, tombstone = read()
if failure == 'corrupt' then return answer(failure) end
local membership, heals = ARGV[1], ARGV[3] == 'heal'
local joined, random = tonumber(string.sub(membership, 1, 13)), string.sub(membership, 14)
local may_come = now <= joined + tonumber(ARGV[2])
local function mark(as) return heals and healed(as, membership) or '' end
if r then
  -- Every other write takes a pending move away. So this move would have been written: it is as if it had been.
  if r.membership ~= membership and not (r.pending == random and may_come) then return answer('other') end
  bury('T' .. membership .. mark('E'))
  return answer('ended')
end
local arrival = arrival_in(tombstone)
if arrival then
  if arrival.membership ~= membership then return answer('other') end
  bury('T' .. membership .. mark('D'))
  return answer('arriving', arrival.old_id, arrival.claim)
end
if not heals then
  -- One process gives the order: it alone reports the end, and once.
  for as, status in pairs({ E = 'ended', D = 'denied' }) do
    local start = find(tombstone, healed(as, membership))
    if start then
      bury(string.sub(tombstone, 1, start - 1) .. string.sub(tombstone, start + 25))
      return answer(status)
    end
  end
end
if find(tombstone, membership) then return answer('gone') end
bury(tombstone .. membership .. (may_come and mark('D') or ''))
return answer(may_come and 'denied' or 'gone')
`,
  { allowOutOfMemory: true },
);

/** Answers the head of the session that it ended. */
export const destroy: Script<"ended" | "missing" | "corrupt"> = step(
  ["ended", "missing", "corrupt"],
  `
local r, failure = read()
if not r then return answer(failure) end
bury('T' .. r.membership)
return answer('ended', head_of(r))
`,
  { allowOutOfMemory: true },
);

/** ARGV: 1 idle ms, 2 "shorten" or "". Answers the head. */
export const touch: Script<"touched" | "missing" | "corrupt"> = step(
  ["touched", "missing", "corrupt"],
  `
local r, failure = read()
if not r then return answer(failure) end
if is_claimed(r) then return answer('missing') end
local expires = math.min(now + tonumber(ARGV[1]), r.ends)
if ARGV[2] == '' then expires = math.max(expires, r.expires) end
r.expires, r.active = expires, now
save_head(r)
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expires))
return answer('touched', head_of(r))
`,
  { allowOutOfMemory: true },
);

/**
 * Update, or the beginning and the end of a move to another user.
 *
 * ARGV: 1 expected version or "", 2 idle ms or "", 3 "keep" or "set" the user, 4 user or "", 5 random, 6 "keep" or "set"
 * the payload, 7 payload, 8 the membership at the new user or "", 9 not after. Answers `moves` and the record when it needs
 * that membership; `written`, the record without a payload that was set, and the head before; `conflict` and the record; `lost`
 * when the move was overtaken; `ended` when it was ordered dead before it arrived.
 */
export const write: Script<"written" | "moves" | "conflict" | "lost" | "ended" | "missing" | "corrupt"> = step(
  ["written", "moves", "conflict", "lost", "ended", "missing", "corrupt"],
  `
local old, failure, tombstone = read()
if not old and failure == 'missing' and ARGV[8] ~= '' and find(tombstone, ARGV[8]) then return answer('ended') end
if not old then return answer(failure) end
if is_claimed(old) then return answer('missing') end
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= old.version then return answer('conflict', redis.call('GET', KEYS[1])) end

local before = head_of(old)
local sets_user, sets_payload, membership = ARGV[3] == 'set', ARGV[6] == 'set', ARGV[8]
local user = sets_user and ARGV[4] or old.user
local new = {}
for field, value in pairs(old) do new[field] = value end
if sets_user or sets_payload then new.version, new.pending = old.version + 1, none end
if membership ~= '' then
  if old.pending ~= ARGV[5] or now > tonumber(ARGV[9]) then return answer('lost') end
  new.membership = membership
elseif user ~= old.user and user ~= '' then
  old.pending = ARGV[5]
  save_head(old)
  return answer('moves', redis.call('GET', KEYS[1]))
elseif user ~= old.user then
  -- No membership: an order against the former one no longer means this session.
  new.membership = string.rep('0', 13) .. ARGV[5]
end

new.user = user
if ARGV[2] ~= '' then
  new.active = now
  new.expires = math.min(now + tonumber(ARGV[2]), old.ends)
end
local payload = ARGV[7]
if not sets_payload then payload = payload_of(old) end
save(new, payload)
return answer('written', sets_payload and head_of(new) or head_of(new) .. payload, before)
`,
);

/** Removes the value of the key, but for a tombstone. */
export const wipe: Script<"wiped"> = step(
  ["wiped"],
  `
local _, _, tombstone = read()
if not tombstone or arrival_in(tombstone) then redis.call('UNLINK', KEYS[1]) end
return answer('wiped')
`,
  { allowOutOfMemory: true },
);
