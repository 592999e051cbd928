import { type Script, type ScriptOptions, script } from "./script.js";

/*
 * Steps on the index of one user, KEYS[1], on the node that holds it. Every script answers { status, now, ... }.
 *
 * A member is createdAt 13 · joinedAt 13 · random 12 · id; joinedAt and random are the membership that the record names.
 * Its score is expiresAt, or -1 once a log-out has ordered it dead. During a rename a session has two members, with one random
 * part. A member whose session still has to make room for itself has a fraction in its score: the limit / 4096. So another
 * process can do that when its own has died. Whole milliseconds and twelve bits of fraction fit into a score.
 */

const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local index = KEYS[1]

local function number(value) return string.format('%.17g', value) end

-- The index outlives its sessions by a minute, as nodes may differ in their clocks.
local function extend(expires)
  local wanted = math.floor(expires) + 60000
  if now + redis.call('PTTL', index) < wanted then redis.call('PEXPIREAT', index, number(wanted)) end
end

local function answer(status, values)
  local reply = { status, now }
  for _, value in ipairs(values or {}) do table.insert(reply, value) end
  return reply
end
`;

function step<Status extends string>(
  statuses: readonly Status[],
  lua: string,
  options?: ScriptOptions,
): Script<Status> {
  return script(statuses, prelude + lua, options);
}

/**
 * Adds a member before its record is written.
 *
 * ARGV: 1 limit, 2 when reached, 3 id, 4 random, 5 created or "" for now, 6 expires, or idle ms when created now, 7 the
 * member that it takes the place of, or "", 8 age ms when created now, 9... the random parts of members that do not count. Answers `joined`, the membership, the number of members
 * beside it where together they exceed the limit, these, and some members that may be left over with their scores; `full` and
 * the members that count; `ordered` when 7 was ordered dead.
 */
export const join: Script<"joined" | "full" | "ordered"> = step(
  ["joined", "full", "ordered"],
  `
if ARGV[7] ~= '' then
  local score = redis.call('ZSCORE', index, ARGV[7])
  if score and tonumber(score) < 0 then return answer('ordered') end
end
-- A rename joins later than the member that it replaces, also within one millisecond.
local joined = math.max(now, (tonumber(string.sub(ARGV[7], 14, 26)) or 0) + 1)
local max, rivals, owed = tonumber(ARGV[1]), {}, 0
local left_over = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. number(now), 'WITHSCORES', 'LIMIT', 0, 500)
if max > 0 then
  local live = redis.call('ZRANGEBYSCORE', index, number(now), '+inf')
  local sessions, counted = 0, {}
  for i = 9, #ARGV do counted[ARGV[i]] = true end
  for _, member in ipairs(live) do
    local random = string.sub(member, 27, 38)
    if not counted[random] then counted[random], sessions = true, sessions + 1 end
  end
  if sessions >= max then
    if ARGV[2] == 'reject' then return answer('full', live) end
    rivals = live
    -- Of two sessions that make room, the one that joined later counts the other.
    for _, member in ipairs(live) do joined = math.max(joined, tonumber(string.sub(member, 14, 26)) + 1) end
    if max < 4096 then owed = max / 4096 end
  end
end
local created, expires = ARGV[5], tonumber(ARGV[6])
-- Members sort by 13 digits: no time is before 1970.
if created == '' then created, expires = string.format('%013.0f', math.max(now - tonumber(ARGV[8]), 0)), now + expires end
local membership = string.format('%013.0f', joined) .. ARGV[4]
redis.call('ZADD', index, number(expires + owed), created .. membership .. ARGV[3])
extend(expires)
local values = { membership, #rivals }
for _, member in ipairs(rivals) do table.insert(values, member) end
for _, member in ipairs(left_over) do table.insert(values, member) end
return answer('joined', values)
`,
);

/** Notes that a session has made room for itself. ARGV: 1 its member, 2... members that have no session any more. */
export const settle: Script<"settled"> = step(
  ["settled"],
  `
local score = redis.call('ZSCORE', index, ARGV[1])
if score and tonumber(score) > 0 then redis.call('ZADD', index, number(math.floor(score)), ARGV[1]) end
for i = 2, #ARGV do redis.call('ZREM', index, ARGV[i]) end
return answer('settled')
`,
  { allowOutOfMemory: true },
);

/** Orders all members dead but one. ARGV: 1 the id to keep or "". Answers them. */
export const order: Script<"ordered"> = step(
  ["ordered"],
  `
local ordered = {}
for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  if ARGV[1] == '' or string.sub(member, 39) ~= ARGV[1] then
    redis.call('ZADD', index, -1, member)
    table.insert(ordered, member)
  end
end
return answer('ordered', ordered)
`,
  { allowOutOfMemory: true },
);

/**
 * Lets a member live at least so long.
 *
 * ARGV: 1 member, 2 expires, 3 "add" or "". Answers `raised`, `ordered` when it has been ordered dead, `absent`.
 */
export const raise: Script<"raised" | "ordered" | "absent"> = step(
  ["raised", "ordered", "absent"],
  `
local score = redis.call('ZSCORE', index, ARGV[1])
if score and tonumber(score) < 0 then return answer('ordered') end
if not score and ARGV[3] == '' then return answer('absent') end
local owed = tonumber(score or 0) % 1
local expires = math.max(tonumber(ARGV[2]), math.floor(score or 0))
redis.call('ZADD', index, number(expires + owed), ARGV[1])
extend(expires)
return answer('raised')
`,
  { allowOutOfMemory: true },
);

/** Answers each member and its score in turn. */
export const list: Script<"listed"> = step(
  ["listed"],
  "return answer('listed', redis.call('ZRANGE', index, 0, -1, 'WITHSCORES'))",
  { allowOutOfMemory: true },
);
