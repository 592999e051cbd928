import { type Script, type ScriptOptions, script } from "./script.js";

/*
 * Steps on the index of one user, KEYS[1], on the node that holds it. Every script answers { status, now, ... }.
 *
 * A member is createdAt 13 · joinedAt 13 · random 12 · id; joinedAt and random are the membership that the record names.
 * Its score is expiresAt; -expiresAt once it has been ordered dead to make room, -1 by a log-out. During a rename a session has
 * two members, with one random part.
 */

const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local index = KEYS[1]

local function number(value) return string.format('%.0f', value) end

-- The index outlives its sessions by a minute, as nodes may differ in their clocks.
local function extend(expires)
  local wanted = expires + 60000
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
 * Adds a member, within the limit, before its record is written.
 *
 * ARGV: 1 limit, 2 when reached, 3 id, 4 random, 5 created or "" for now, 6 expires, or idle ms when created now, 7 the
 * member that it takes the place of, or "", 8 age ms when created now. Answers `joined`, the membership, the number of members
 * ordered dead to make room, these, and some members that may be left over with their scores; `full` and the members that
 * count; `ordered` when 7 was ordered dead.
 */
export const join: Script<"joined" | "full" | "ordered"> = step(
  ["joined", "full", "ordered"],
  `
if ARGV[7] ~= '' then
  local score = redis.call('ZSCORE', index, ARGV[7])
  if score and tonumber(score) < 0 then return answer('ordered') end
end
local max, victims = tonumber(ARGV[1]), {}
local left_over = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. number(now), 'WITHSCORES', 'LIMIT', 0, 500)
if max > 0 then
  local live = redis.call('ZRANGEBYSCORE', index, number(now), '+inf')
  table.sort(live)
  local sessions, members_of = {}, {}
  for _, member in ipairs(live) do
    local random = string.sub(member, 27, 38)
    if not members_of[random] then
      members_of[random] = {}
      table.insert(sessions, random)
    end
    table.insert(members_of[random], member)
  end
  local surplus = #sessions + 1 - max
  if surplus > 0 and ARGV[2] == 'reject' then return answer('full', live) end
  for i = 1, surplus do
    for _, member in ipairs(members_of[sessions[i]]) do
      redis.call('ZADD', index, '-' .. redis.call('ZSCORE', index, member), member)
      table.insert(victims, member)
    end
  end
end
local created, expires = ARGV[5], tonumber(ARGV[6])
-- Members sort by 13 digits: no time is before 1970.
if created == '' then created, expires = string.format('%013.0f', math.max(now - tonumber(ARGV[8]), 0)), now + expires end
-- A rename joins later than the member that it replaces, also within one millisecond.
local joined = math.max(now, (tonumber(string.sub(ARGV[7], 14, 26)) or 0) + 1)
local membership = string.format('%013.0f', joined) .. ARGV[4]
redis.call('ZADD', index, number(expires), created .. membership .. ARGV[3])
extend(expires)
local values = { membership, #victims }
for _, member in ipairs(victims) do table.insert(values, member) end
for _, member in ipairs(left_over) do table.insert(values, member) end
return answer('joined', values)
`,
);

/** Takes back a join. ARGV: 1 the member that joined, 2... those that it ordered dead. */
export const leave: Script<"left"> = step(
  ["left"],
  `
redis.call('ZREM', index, ARGV[1])
for i = 2, #ARGV do
  local score = redis.call('ZSCORE', index, ARGV[i])
  if score and tonumber(score) < -1 then redis.call('ZADD', index, number(-tonumber(score)), ARGV[i]) end
end
return answer('left')
`,
  { allowOutOfMemory: true },
);

/**
 * Orders all members dead but one, for good: a join that is taken back revives only members that it ordered dead itself.
 *
 * ARGV: 1 the id to keep or "". Answers them.
 */
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
local expires = math.max(tonumber(ARGV[2]), tonumber(score or 0))
redis.call('ZADD', index, number(expires), ARGV[1])
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
