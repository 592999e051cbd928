import { type Script, type ScriptOptions, script } from "./script.js";

/*
 * Steps on one record, KEYS[1], on the node that holds it. Every script answers { status, now, ... }.
 *
 * A tombstone, "T" and the memberships that it denies, takes the place of a record for a minute: a put of one of them
 * that is still on its way is refused.
 */

const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local header_bytes, longest_user = 128, 512
local header_pattern = '^2' .. string.rep('%d', 65)
local none, tombstone_ms = string.rep('-', 12), 60000

-- The record without its payload, or nil and why: 'missing', 'corrupt'; and the tombstone, if there is one.
local function read()
  local head = redis.pcall('GETRANGE', KEYS[1], 0, header_bytes + longest_user - 1)
  if head == '' then return nil, 'missing', 'T' end
  if type(head) == 'table' then return nil, 'corrupt' end
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

-- Whether a rename keeps others from writing. One that took too long no longer does, and must not win over what is written
-- without regard to it: the write takes its claim away.
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

local function denies(tombstone, membership)
  for start = 2, #tombstone, 25 do
    if string.sub(tombstone, start, start + 24) == membership then return true end
  end
  return false
end

local function bury(membership, tombstone)
  redis.call('SET', KEYS[1], tombstone .. membership, 'PX', tombstone_ms)
end

local function answer(status, ...) return { status, now, ... } end
`;

function step(lua: string, options?: ScriptOptions): Script {
  return script(prelude + lua, options);
}

/**
 * Stores a new record.
 *
 * ARGV: 1 membership, 2 not after, 3 expires, 4 active, 5 created, 6 ends, 7 version, 8 user, 9 payload. Without a time of
 * creation that is now, and 3 and 6 are durations. Answers `stored`, `duplicate`, `past` (expired on the way), `ended`
 * (its membership has been ordered dead), `late`.
 */
export const put: Script = step(`
local r, failure, tombstone = read()
if r or failure == 'corrupt' then return answer('duplicate') end
if not r and denies(tombstone, ARGV[1]) then return answer('ended') end
if ARGV[2] ~= '' and now > tonumber(ARGV[2]) then return answer('late') end
local base = 0
if ARGV[5] == '' then base = now end
local expires, ends = base + tonumber(ARGV[3]), base + tonumber(ARGV[6])
if expires < now then return answer('past') end
save({
  expires = expires, active = tonumber(ARGV[4]) or now, created = tonumber(ARGV[5]) or now, ends = ends,
  version = tonumber(ARGV[7]), user = ARGV[8], membership = ARGV[1], pending = none, claim = none, claimed_until = 0,
}, ARGV[9])
return answer('stored')
`);

/**
 * Ends the session if it is of this membership or on its way there, or denies the membership to a put that is yet to come.
 *
 * ARGV: 1 membership, 2 for how long a join may still be followed by its write. Answers `killed`, `denied`, `other`,
 * `corrupt`.
 */
export const kill: Script = step(
  `
local r, failure, tombstone = read()
if failure == 'corrupt' then return answer(failure) end
if not r then
  bury(ARGV[1], tombstone)
  return answer('denied')
end
local joined, random = tonumber(string.sub(ARGV[1], 1, 13)), string.sub(ARGV[1], 14)
-- Every other write takes away what is pending. So this move would have been written: it is as if it had been.
local arrives = r.pending == random and now <= joined + tonumber(ARGV[2])
if r.membership ~= ARGV[1] and not arrives then return answer('other') end
bury(ARGV[1], 'T')
return answer('killed')
`,
  { allowOutOfMemory: true },
);

/** Answers the head of the session that it ended. */
export const destroy: Script = step(
  `
local r, failure = read()
if not r then return answer(failure) end
bury(r.membership, 'T')
return answer('destroyed', head_of(r))
`,
  { allowOutOfMemory: true },
);

/** ARGV: 1 idle ms, 2 "shorten" or "". Answers the head. */
export const touch: Script = step(
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
 * that membership; `written`, the record without a payload that was set, and the head before; `lost` when the move was
 * overtaken; `ended` when it was ordered dead before it arrived.
 */
export const write: Script = step(`
local old, failure, tombstone = read()
if not old and failure == 'missing' and ARGV[8] ~= '' and denies(tombstone, ARGV[8]) then return answer('ended') end
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
  -- No membership: who orders the former one dead no longer means this session.
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
`);

/**
 * Begins a rename: until it ends or its time is up, nobody else writes to the session.
 *
 * ARGV: 1 expected version or "", 2 claim, 3 for how long. Answers the record.
 */
export const claim: Script = step(`
local r, failure = read()
if not r then return answer(failure) end
if is_claimed(r) then return answer('missing') end
local record = redis.call('GET', KEYS[1])
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= r.version then return answer('conflict', record) end
r.claim, r.claimed_until, r.pending = ARGV[2], now + tonumber(ARGV[3]), none
save_head(r)
return answer('claimed', record)
`);

/** ARGV: 1 claim. */
export const unclaim: Script = step(`
local r, failure = read()
if not r then return answer(failure) end
if r.claim ~= ARGV[1] then return answer('other') end
r.claim, r.claimed_until = none, 0
save_head(r)
return answer('unclaimed')
`);

/**
 * Ends the session under its old id, if the claim still holds.
 *
 * ARGV: 1 claim, 2 created. Answers `overtaken` when the claim ran out and somebody wrote to the session.
 */
export const finishRename: Script = step(`
local r, failure = read()
if not r then return answer(failure) end
if r.claim ~= ARGV[1] then return answer(r.created == tonumber(ARGV[2]) and 'overtaken' or 'other') end
bury(r.membership, 'T')
return answer('finished')
`);

/** Removes whatever the key holds, but a tombstone. */
export const wipe: Script = step(
  `
local _, _, tombstone = read()
if not tombstone then redis.call('UNLINK', KEYS[1]) end
return answer('wiped')
`,
  { allowOutOfMemory: true },
);
