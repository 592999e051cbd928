import { newRecord, step } from "./cluster-prelude.js";
import type { Script } from "./script.js";

/* Steps on one session of a Cluster. */

/**
 * Stores the record of a session that is created.
 *
 * ARGV: 1 membership, 2 not after or "", 3 expires, 4 active or "", 5 created or "", 6 ends, 7 version, 8 user, 9 payload,
 * 10 age ms and 11 inactive ms where 5 is "", 12 "again" for a join that was denied before, or "", 13 the claim of an arrival
 * that will not become a session, or "". Answers
 * `stored`, also where it has been stored by this very put; `duplicate`; `arriving`, old id and claim of another session that
 * may arrive; `past` when it has expired on the way; `ended` when it had been stored and has ended; `denied` when it has to join
 * again; `late`.
 */
export const put: Script<"stored" | "duplicate" | "arriving" | "past" | "ended" | "denied" | "late"> = step(
  ["stored", "duplicate", "arriving", "past", "ended", "denied", "late"],
  `
local r, failure, tombstone = read()
if r and r.membership == ARGV[1] then return answer('stored') end
if r or failure == 'corrupt' then return answer('duplicate') end
local arrival = arrival_in(tombstone)
if arrival and arrival.claim ~= ARGV[13] then return answer('arriving', arrival.old_id, arrival.claim) end
if not arrival and find(tombstone, ARGV[1]) then return answer('ended') end
if not arrival and find(tombstone, denied(ARGV[1])) then return answer('denied') end
if ARGV[2] ~= '' and ARGV[12] == '' and is_younger(tombstone, ARGV[1]) then return answer('denied') end
if ARGV[2] ~= '' and now > tonumber(ARGV[2]) then return answer('late') end
${newRecord}
if ARGV[5] == '' then
  new.created, new.active = math.max(now - tonumber(ARGV[10]), 0), math.max(now - tonumber(ARGV[11]), 0)
end
if new.expires < now then return answer('past') end
local moved = not arrival and string.match(tombstone, 'R%-%-%-%-%-%-%-%-%-%-%-%-(............)')
if moved then new.claim, new.claimed_until = moved, evidence end
save(new, ARGV[9])
return answer('stored')
`,
);

type EndStatus =
  | ("ended" | "live" | "healed" | "denied" | "pending")
  | ("arriving" | "moved" | "gone" | "other" | "corrupt");

/**
 * Ends the session if it is of this membership, or denies the membership to a put that is yet to come.
 *
 * ARGV: 1 membership, 2 for how long a join may still be followed by its put, 3 "heal" when another process was to end it,
 * "spare" to let it live, "look" to change nothing. Answers `ended`, also where a process that healed the index has done so;
 * `live` when it lives on; `healed` when it was to be looked at, and has been ended in the place of another process; `denied`
 * when the put might still have come, and `pending` when it still may; `arriving`, old id and claim of its arrival; `moved` when
 * it has another id now; `gone` when there was nothing to end; `other` when the session is of another membership; `corrupt`.
 */
export const end: Script<EndStatus> = step(
  ["ended", "live", "healed", "denied", "pending", "arriving", "moved", "gone", "other", "corrupt"],
  `
local r, failure, tombstone = read()
if failure == 'corrupt' then return answer(failure) end
local membership, mode = ARGV[1], ARGV[3]
local looks = mode == 'look' or mode == 'spare'
local joined, random = tonumber(string.sub(membership, 1, 13)), string.sub(membership, 14)
local may_come = now <= joined + tonumber(ARGV[2])
if r and r.membership == membership then
  if looks then return answer('live') end
  bury(tombstone_of(r) .. (mode == 'heal' and healed(membership) or ''))
  return answer('ended')
end
if r then
  if r.pending ~= random then return answer(r.claimed_until == evidence and 'moved' or 'other') end
  if mode == 'look' then return answer('pending') end
  -- It has not moved yet, and has to begin again.
  r.pending = none
  save_head(r)
  return answer('denied')
end
local arrival = arrival_in(tombstone)
if arrival then
  if arrival.membership ~= membership then return answer('other') end
  return answer('arriving', arrival.old_id, arrival.claim)
end
local mark = mode ~= 'heal' and find(tombstone, healed(membership))
if mark then
  if looks then return answer('healed') end
  -- One process was to end it: it alone reports the end, and once.
  bury(string.sub(tombstone, 1, mark - 1) .. string.sub(tombstone, mark + 25))
  return answer('ended')
end
if find(tombstone, membership) then
  return answer(string.find(tombstone, 'R' .. none, 1, true) and 'moved' or 'gone')
end
if find(tombstone, denied(membership)) or not may_come then return answer('gone') end
if mode == 'look' then return answer('pending') end
bury(tombstone .. denied(membership))
return answer('denied')
`,
  { allowOutOfMemory: true },
);

/** Answers the head of the session that it ended. */
export const destroy: Script<"ended" | "missing" | "corrupt"> = step(
  ["ended", "missing", "corrupt"],
  `
local r, failure, tombstone = read()
if not r then return answer_failure(failure, tombstone) end
bury(tombstone_of(r))
return answer('ended', head_of(r))
`,
  { allowOutOfMemory: true },
);

/** ARGV: 1 idle ms, 2 "shorten" or "". Answers the head. */
export const touch: Script<"touched" | "missing" | "corrupt"> = step(
  ["touched", "missing", "corrupt"],
  `
local r, failure, tombstone = read()
if not r then return answer_failure(failure, tombstone) end
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
 * when the move was overtaken or has to begin again; `ended` when it has moved and ended since.
 */
export const write: Script<"written" | "moves" | "conflict" | "lost" | "ended" | "missing" | "corrupt"> = step(
  ["written", "moves", "conflict", "lost", "ended", "missing", "corrupt"],
  `
local old, failure, tombstone = read()
if not old and failure == 'missing' and ARGV[8] ~= '' and find(tombstone, ARGV[8]) then return answer('ended') end
if not old then return answer_failure(failure, tombstone) end
if ARGV[8] ~= '' and old.membership == ARGV[8] then
  return answer('written', head_of(old) .. payload_of(old), head_of(old))
end
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
