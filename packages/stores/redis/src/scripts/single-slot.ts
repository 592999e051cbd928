import { type Script, type ScriptOptions, script } from "./script.js";

/*
 * One script per verb, for one node or one slot. The keys of other records and of indexes are derived from the stored values.
 *
 * KEYS[1] is the record, KEYS[2] the record under its new id. ARGV[1] and ARGV[2] are the prefixes of records and indexes.
 * Every script answers { status, now, ... }. A script writes to the index before the record: where the index holds another
 * type, the script fails and nothing has changed.
 */

const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local header_bytes, longest_user = 66, 512

-- The record without its payload, or nil and why: 'missing', 'corrupt'.
local function read(key)
  local head = redis.pcall('GETRANGE', key, 0, header_bytes + longest_user - 1)
  if head == '' then return nil, 'missing' end
  if type(head) == 'table' then
    -- Another type is a corrupt record. Any other refusal fails the script.
    if not string.find(head.err, 'WRONGTYPE', 1, true) then redis.call('GETRANGE', key, 0, 0) end
    return nil, 'corrupt'
  end
  local _, digits = string.find(head, '^1%d+')
  if not digits or digits < header_bytes then return nil, 'corrupt' end
  return {
    expires = tonumber(string.sub(head, 2, 14)),
    active = tonumber(string.sub(head, 15, 27)),
    -- As text: it never changes, and names the member of the index.
    created = string.sub(head, 28, 40),
    ends = tonumber(string.sub(head, 41, 53)),
    version = tonumber(string.sub(head, 54, 63)),
    user = string.sub(head, header_bytes + 1, header_bytes + tonumber(string.sub(head, 64, 66))),
  }
end

-- Tells the bus, before the write that it tells of: where the server refuses that, nothing has changed.
local function tell(message)
  if announces then redis.call('PUBLISH', string.sub(ARGV[1], 1, -3) .. 'b', cjson.encode(message)) end
end

local function head_of(r)
  return string.format(
    '1%013.0f%013.0f%s%013.0f%010.0f%03d', r.expires, r.active, r.created, r.ends, r.version, #r.user) .. r.user
end

-- An index holds createdAt and id, scored by expiresAt: the oldest is found although a touch moves the score.
local function member_of(r, id) return r.created .. id end
local function index_of(user) return ARGV[2] .. user end

-- The index outlives its longest session a little, so that it is not prolonged with each write.
local function add(r, id)
  local index, life = index_of(r.user), r.expires - now
  redis.call('ZADD', index, string.format('%.0f', r.expires), member_of(r, id))
  if redis.call('PTTL', index) < life then
    redis.call('PEXPIREAT', index, string.format('%.0f', r.expires + math.min(life / 32, 60000)))
  end
end

-- Drops expired members.
local function tidy(user)
  redis.call('ZREMRANGEBYSCORE', index_of(user), '-inf', '(' .. string.format('%.0f', now))
end

-- The user's live sessions, oldest first. Drops a member whose record is gone, as the server may evict, or belongs to another user.
local function sessions_of(user)
  tidy(user)
  local index, found = index_of(user), {}
  local members = redis.call('ZRANGE', index, 0, -1)
  table.sort(members)
  for _, member in ipairs(members) do
    local id = string.sub(member, 14)
    local key = ARGV[1] .. id
    local r, failure = read(key)
    if r and r.user == user and member_of(r, id) == member then
      table.insert(found, { id = id, key = key, member = member })
    elseif failure == 'corrupt' then
      table.insert(found, { id = id, key = key, member = member, corrupt = true })
    else
      redis.call('ZREM', index, member)
    end
  end
  return found
end

-- Ends the oldest sessions until one more fits. Returns their ids, or nil where the limit refuses instead.
local function make_room(user, max, when_reached)
  local evicted = {}
  if max == 0 then return evicted end
  local live = {}
  for _, session in ipairs(sessions_of(user)) do
    if not session.corrupt then table.insert(live, session) end
  end
  local surplus = #live + 1 - max
  if surplus > 0 and when_reached == 'reject' then return nil end
  for i = 1, surplus do
    tell({ kind = 'ended', ids = { live[i].id } })
    redis.call('DEL', live[i].key)
    redis.call('ZREM', index_of(user), live[i].member)
    table.insert(evicted, live[i].id)
  end
  return evicted
end

-- Returns { status, now, first, values of the list }. Not by unpack, which fails on thousands of values.
local function answer(status, values, first)
  local reply = { status, now, first }
  for _, value in ipairs(values or {}) do table.insert(reply, value) end
  return reply
end
`;

function verb<Status extends string>(
  statuses: readonly Status[],
  lua: string,
  options?: ScriptOptions,
): Script<Status> {
  return script(statuses, prelude + lua, options);
}

/**
 * ARGV: 3 limit, 4 when reached, 5 id, 6 user or "", 7 idle ms, 8 absolute ms, 9 age ms, 10 inactive ms, 11 version,
 * 12 payload. Answers the ids evicted.
 */
export const create: Script<"created" | "duplicate" | "limitReached"> = verb(
  ["created", "duplicate", "limitReached"],
  `
if redis.call('EXISTS', KEYS[1]) == 1 then return answer('duplicate') end
local id, user = ARGV[5], ARGV[6]
local evicted = {}
if user ~= '' then
  evicted = make_room(user, tonumber(ARGV[3]), ARGV[4])
  if not evicted then return answer('limitReached') end
end
local ends = now + tonumber(ARGV[8])
local r = {
  expires = math.min(now + tonumber(ARGV[7]), ends), ends = ends, version = tonumber(ARGV[11]), user = user,
  -- The index sorts by 13 digits: no time is before 1970.
  created = string.format('%013.0f', math.max(now - tonumber(ARGV[9]), 0)), active = math.max(now - tonumber(ARGV[10]), 0),
}
if user ~= '' then
  tidy(user)
  add(r, id)
end
redis.call('SET', KEYS[1], head_of(r) .. ARGV[12], 'PXAT', string.format('%.0f', r.expires))
return answer('created', evicted)
`,
);

/**
 * Update and rename: the same write, to the same key or another.
 *
 * ARGV: 3 limit, 4 when reached, 5 id, 6 new id, 7 expected version or "", 8 idle ms or "", 9 absolute ms or "", 10 "keep" or
 * "set" the user, 11 user or "", 12 "keep" or "set" the payload, 13 payload. Answers the record, without a payload that was
 * set, and the ids evicted; or the conflicting record.
 */
export const write: Script<"written" | "conflict" | "missing" | "duplicate" | "limitReached" | "corrupt"> = verb(
  ["written", "conflict", "missing", "duplicate", "limitReached", "corrupt"],
  `
local source, target, id, new_id = KEYS[1], KEYS[2] or KEYS[1], ARGV[5], ARGV[6]
local renames, sets_user, sets_payload = KEYS[2] ~= nil, ARGV[10] == 'set', ARGV[12] == 'set'
local old, failure = read(source)
if not old then return answer(failure) end
if ARGV[7] ~= '' and tonumber(ARGV[7]) ~= old.version then return answer('conflict', { redis.call('GET', source) }) end
if renames and redis.call('EXISTS', target) == 1 then return answer('duplicate') end

local new = {
  expires = old.expires, active = old.active, created = old.created, ends = old.ends, version = old.version,
  user = sets_user and ARGV[11] or old.user,
}
if sets_user or sets_payload then new.version = old.version + 1 end
if ARGV[9] ~= '' then new.ends = now + tonumber(ARGV[9]) end
if ARGV[8] ~= '' then
  new.active = now
  new.expires = now + tonumber(ARGV[8])
end
new.expires = math.min(new.expires, new.ends)
local evicted = {}
if new.user ~= old.user and new.user ~= '' then
  evicted = make_room(new.user, tonumber(ARGV[3]), ARGV[4])
  if not evicted then return answer('limitReached') end
end

local payload = ARGV[13]
if not sets_payload then payload = redis.call('GETRANGE', source, header_bytes + #old.user, -1) end
local moves = renames or new.user ~= old.user
if new.user ~= '' and (moves or new.expires ~= old.expires) then add(new, new_id) end
if renames then
  tell({ kind = 'renamed', id = id, newId = new_id })
elseif new.version ~= old.version then
  tell({ kind = 'changed', id = id, version = new.version })
elseif ARGV[8] ~= '' then
  tell({ kind = 'changed', id = id })
end
local head = head_of(new)
redis.call('SET', target, head .. payload, 'PXAT', string.format('%.0f', new.expires))
if renames then redis.call('DEL', source) end
-- An index of another type has no place to take away.
if old.user ~= '' and moves then redis.pcall('ZREM', index_of(old.user), member_of(old, id)) end
return answer('written', evicted, sets_payload and head or head .. payload)
`,
);

/** ARGV: 3 user. Answers id and record in turn; an empty record where the key holds another type. */
export const list: Script<"listed"> = verb(
  ["listed"],
  `
local listed = answer('listed')
for _, session in ipairs(sessions_of(ARGV[3])) do
  local record = redis.pcall('GET', session.key)
  table.insert(listed, session.id)
  table.insert(listed, type(record) == 'string' and record or '')
end
return listed
`,
  { allowOutOfMemory: true },
);

/** ARGV: 3 user, 4 the id to keep or "". Answers the ids ended. */
export const endByUser: Script<"ended"> = verb(
  ["ended"],
  `
local ended = answer('ended')
for _, session in ipairs(sessions_of(ARGV[3])) do
  if session.id ~= ARGV[4] and not session.corrupt then
    tell({ kind = 'ended', ids = { session.id } })
    redis.call('DEL', session.key)
    redis.call('ZREM', index_of(ARGV[3]), session.member)
    table.insert(ended, session.id)
  end
end
return ended
`,
  { allowOutOfMemory: true },
);
