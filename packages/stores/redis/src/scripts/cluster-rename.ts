import { newRecord, step } from "./cluster-prelude.js";
import type { Script } from "./script.js";

/* The steps of a rename on a Cluster, in their order. */

/**
 * Claims the session for a rename: until the claim is given back or runs out, no other call writes to the session.
 *
 * ARGV: 1 expected version or "", 2 claim, 3 for how long. Answers `claimed` and the record, also where this very rename has
 * claimed it; `conflict` and the record.
 */
export const claim: Script<"claimed" | "conflict" | "missing" | "corrupt"> = step(
  ["claimed", "conflict", "missing", "corrupt"],
  `
local r, failure = read()
if not r then return answer(failure) end
local record = redis.call('GET', KEYS[1])
if r.claim == ARGV[2] then return answer('claimed', record) end
if is_claimed(r) then return answer('missing') end
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= r.version then return answer('conflict', record) end
r.claim, r.claimed_until, r.pending = ARGV[2], now + tonumber(ARGV[3]), none
save_head(r)
return answer('claimed', record)
`,
);

/** Gives a claim back. ARGV: 1 claim. */
export const unclaim: Script<"unclaimed" | "other" | "missing" | "corrupt"> = step(
  ["unclaimed", "other", "missing", "corrupt"],
  `
local r, failure = read()
if not r then return answer(failure) end
if r.claim ~= ARGV[1] then return answer('other') end
r.claim, r.claimed_until = none, 0
save_head(r)
return answer('unclaimed')
`,
  { allowOutOfMemory: true },
);

/**
 * Stores the arrival of a session that is renamed.
 *
 * ARGV: 1 to 9 as in `put`, 10 claim, 11 old id. Answers as `put` does.
 */
export const announce: Script<"stored" | "duplicate" | "past" | "ended" | "late"> = step(
  ["stored", "duplicate", "past", "ended", "late"],
  `
local r, failure, tombstone = read()
if r and r.membership == ARGV[1] then return answer('stored') end
if r or failure == 'corrupt' then return answer('duplicate') end
local arrival = arrival_in(tombstone)
if arrival then return answer(arrival.membership == ARGV[1] and 'stored' or 'duplicate') end
if find(tombstone, ARGV[1]) then return answer('ended') end
if now > tonumber(ARGV[2]) then return answer('late') end
${newRecord}
if new.expires < now then return answer('past') end
local record = head_of(new) .. ARGV[9]
bury('TA' .. ARGV[10] .. string.format('%03d%010.0f', #ARGV[11], #record) .. ARGV[11] .. record)
return answer('stored')
`,
);

/**
 * Ends the session under its old id if the claim still holds. This moment is the rename: the arrival under the new id reads as
 * the session from here on.
 *
 * ARGV: 1 claim, 2 created. Answers `finished`, also where this very rename has finished; `overtaken` when the claim ran out
 * and another call wrote to the session; `other` when another session has the id.
 */
export const finishRename: Script<"finished" | "overtaken" | "other" | "missing" | "corrupt"> = step(
  ["finished", "overtaken", "other", "missing", "corrupt"],
  `
local r, failure, tombstone = read()
if failure == 'missing' and find(tombstone, moved_by(ARGV[1])) then return answer('finished') end
if not r then return answer(failure) end
if r.claim ~= ARGV[1] then return answer(r.created == tonumber(ARGV[2]) and 'overtaken' or 'other') end
bury('T' .. r.membership .. moved_by(ARGV[1]))
return answer('finished')
`,
  { allowOutOfMemory: true },
);

/**
 * Turns an arrival into the record, once the session under the old id has ended by the same claim.
 *
 * ARGV: 1 claim, 2 "read" to get the record. Answers `settled`, also where another process has settled it; `missing` when it
 * has been ended meanwhile.
 */
export const settle: Script<"settled" | "missing" | "corrupt"> = step(
  ["settled", "missing", "corrupt"],
  `
local r, failure, tombstone = read()
if failure == 'corrupt' then return answer(failure) end
if not r then
  local arrival = arrival_in(tombstone)
  if not arrival or arrival.claim ~= ARGV[1] then return answer('missing') end
  local expires = string.sub(arrival.record, 2, 14)
  if tonumber(expires) < now then
    bury('T' .. arrival.membership)
    return answer('missing')
  end
  redis.call('SET', KEYS[1], arrival.record, 'PXAT', string.format('%.0f', tonumber(expires)))
end
return answer('settled', ARGV[2] == 'read' and redis.call('GET', KEYS[1]))
`,
  { allowOutOfMemory: true },
);
