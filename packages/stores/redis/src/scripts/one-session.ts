import { type Script, type ScriptOptions, script } from "./script.js";

/*
 * The scripts of most requests: each changes one session that keeps its user, on one node or in one slot. They take few
 * arguments, define nothing that they do not need, and copy as text what they do not change. That takes half the server's
 * time of the general script. Times are whole numbers of 13 digits: Lua writes them out as they are.
 *
 * KEYS[1] is the record, ARGV[1] the prefix of indexes, ARGV[2] the id. Every script answers { status, now, ... }. It tells the
 * bus before it writes: where the server refuses that, nothing has changed.
 */

const prelude = `
local call, sub = redis.call, string.sub
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local header_bytes, longest_user = 66, 512
local head = redis.pcall('GETRANGE', KEYS[1], 0, header_bytes + longest_user - 1)
if head == '' then return { 'missing', now } end
if type(head) == 'table' then
  -- Another type is a corrupt record. Any other refusal fails the script.
  if not string.find(head.err, 'WRONGTYPE', 1, true) then call('GETRANGE', KEYS[1], 0, 0) end
  return { 'corrupt', now }
end
local _, digits = string.find(head, '^1%d+')
if not digits or digits < header_bytes then return { 'corrupt', now } end
local head_end = header_bytes + tonumber(sub(head, 64, 66))
local user, created = sub(head, header_bytes + 1, head_end), sub(head, 28, 40)
`;

/** Tells the bus, where scripts do so. */
function tell(message: string): string {
  return `if announces then call('PUBLISH', sub(ARGV[1], 1, -3) .. 'b', cjson.encode(${message})) end`;
}

/**
 * Defines `move_to(expires)` for the index, which outlives its longest session a little, so that it seldom has to be prolonged.
 * Call it before the record is written: it fails where the index holds another type, and nothing has changed then.
 */
const moving = `
local function move_to(expires)
  if user == '' then return end
  local index, life = ARGV[1] .. user, expires - now
  call('ZADD', index, expires, created .. ARGV[2])
  if call('PTTL', index) < life then
    call('PEXPIREAT', index, math.floor(expires + math.min(life / 32, 60000)))
  end
end
local expires, ends = tonumber(sub(head, 2, 14)), tonumber(sub(head, 41, 53))
`;

function verb<Status extends string>(
  statuses: readonly Status[],
  lua: string,
  options?: ScriptOptions,
): Script<Status | "missing" | "corrupt"> {
  return script([...statuses, "missing", "corrupt"], prelude + lua, options);
}

/**
 * Replaces the payload.
 *
 * ARGV: 3 expected version or "", 4 idle ms or "", 5 payload. Answers the record without its payload, or the conflicting one.
 */
export const save: Script<"written" | "conflict" | "missing" | "corrupt"> = verb(
  ["written", "conflict"],
  `
local version = tonumber(sub(head, 54, 63))
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return { 'conflict', now, call('GET', KEYS[1]) } end
${moving}
local times, reached = sub(head, 2, 27), expires
if ARGV[4] ~= '' then
  reached = math.min(now + tonumber(ARGV[4]), ends)
  times = reached .. now
end
${tell("{ kind = 'changed', id = ARGV[2], version = version + 1 }")}
if reached ~= expires then move_to(reached) end
local count = string.format('%010.0f', version + 1)
local new = '1' .. times .. sub(head, 28, 53) .. count .. sub(head, 64, head_end)
call('SET', KEYS[1], new .. ARGV[5], 'PXAT', reached)
return { 'written', now, new }
`,
);

/** ARGV: 3 idle ms, 4 "shorten" or "". */
export const touch: Script<"touched" | "missing" | "corrupt"> = verb(
  ["touched"],
  `${moving}
local reached = math.min(now + tonumber(ARGV[3]), ends)
if ARGV[4] == '' then
  reached = math.max(reached, expires)
else
  ${tell("{ kind = 'changed', id = ARGV[2] }")}
end
if reached ~= expires then
  move_to(reached)
  call('PEXPIREAT', KEYS[1], reached)
end
call('SETRANGE', KEYS[1], 1, reached .. now)
return { 'touched', now }
`,
  { allowOutOfMemory: true },
);

/** Answers the user. An index of another type has no place to take away. */
export const end: Script<"ended" | "missing" | "corrupt"> = verb(
  ["ended"],
  `
${tell("{ kind = 'ended', ids = { ARGV[2] } }")}
call('DEL', KEYS[1])
if user ~= '' then redis.pcall('ZREM', ARGV[1] .. user, created .. ARGV[2]) end
return { 'ended', now, user }
`,
  { allowOutOfMemory: true },
);
