#!lua name=rihla

-- Server-side functions: each is one atomic step. Loaded when a process first needs them.

local AFTER_EXPIRY = 60 * 1000000 -- microseconds after which a record that ran out is surely gone

local DIGITS = 16 -- of the longest number that is kept, a time in microseconds

local STAMP = 8 -- bytes before an exposure memory that change with every change of it

-- A whole number among a record's fields, as it is written here; false or nil for none, and for anything else.
local function number_in(key, field)
  local found = redis.call('HGET', key, field)
  return found and #found <= DIGITS and (string.match(found, '^[1-9]%d*$') or string.match(found, '^0$'))
end

-- Keyed decisions that are older than some seconds go; each begins with the second in which it was decided.
local function drop_old(key, seconds)
  local before = redis.call('TIME')[1] - seconds
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local a, b, c, d = string.byte(all[i + 1], 1, 4)
    if not d or ((a * 256 + b) * 256 + c) * 256 + d < before then
      redis.call('HDEL', key, all[i])
    end
  end
end

-- One customer's commit: compare the version, then write everything or nothing.
-- keys: record, events, due, changes, zset of the stage left, zset of the stage entered
-- args: expected version, time to live (s), member, since when, when the clock changes the standing or "inf",
--       change record or "", seconds to keep changes, stamp of the exposure memory that a new one goes on top of or
--       "-" for none, number of fields, fields and values in turn, events...
-- An empty time to live leaves the stored one; an empty "since" takes the member out of both stages.
-- Answers {1, new version} or {0, stored version}.
local function commit(keys, args)
  local version = number_in(keys[1], 'v') or '0'
  if version ~= args[1] then
    return {0, version}
  end
  if args[8] ~= '-' and args[8] ~= string.sub(redis.call('HGET', keys[1], 'x') or '', 1, STAMP) then
    return {0, version}
  end
  version = string.format('%d', tonumber(version) + 1)
  local last = 9 + 2 * tonumber(args[9])
  redis.call('HSET', keys[1], 'v', version, unpack(args, 10, last))
  if args[2] ~= '' and redis.call('HEXISTS', keys[1], 't') == 1 then
    redis.call('EXPIRE', keys[1], args[2], 'GT') -- the time of erasure is remembered at least as long as it was to be
  elseif args[2] ~= '' then
    redis.call('EXPIRE', keys[1], args[2])
  end
  for i = last + 1, #args do
    redis.call('XADD', keys[2], '*', 'k', 'e', 'b', args[i])
  end
  local due, expires = tonumber(args[5]), redis.call('PEXPIRETIME', keys[1])
  if expires > 0 then
    due = math.min(due, expires * 1000 + AFTER_EXPIRY)
  end
  redis.call('ZADD', keys[3], string.format('%.0f', due), args[3])
  if keys[5] ~= keys[6] or args[4] == '' then
    redis.call('ZREM', keys[5], args[3])
  end
  if args[4] == '' then
    redis.call('ZREM', keys[6], args[3])
  else
    redis.call('ZADD', keys[6], args[4], args[3])
  end
  if args[6] ~= '' then
    local oldest = redis.call('TIME')[1] - args[7] -- this server's clock: those of its callers may differ
    redis.call('XADD', keys[4], 'MINID', '~', string.format('%d000-0', oldest), '*', 'b', args[6])
  end
  return {1, version}
end

-- Of a record and its keyed decisions a tombstone is left; the member leaves the zsets, which begin at some key.
local function entomb(keys, zsets, at, seconds, member)
  local version = number_in(keys[1], 'v') or '0'
  redis.call('DEL', keys[1], keys[2])
  redis.call('HSET', keys[1], 't', at, 'v', string.format('%d', tonumber(version) + 1))
  redis.call('EXPIRE', keys[1], seconds)
  for i = zsets, #keys do
    redis.call('ZREM', keys[i], member)
  end
end

-- A customer is erased: what is left is when, and a version that no reader from before can commit on.
-- keys: record, keyed decisions, events, then the zsets; args: erased at (microseconds), seconds to remember
-- it, member, the erasure for the log
local function erase(keys, args)
  local at = number_in(keys[1], 't') or '0'
  if tonumber(at) < tonumber(args[1]) then
    at = args[1]
  end
  entomb(keys, 4, at, args[2], args[3])
  redis.call('XADD', keys[3], '*', 'k', 'x', 'b', args[4])
  return 1
end

-- A slate is reserved: its shows enter the exposure memory, its record the stream, its key the kept decisions,
-- all in one step and only on top of what it was decided on.
-- keys: record, events, kept decisions
-- args: stamp of the memory that was read ("" for none), time of erasure that was read ("" for none), id,
--       stamped memory, seconds to live if nothing else is known, decision record, then of a keyed decision its
--       field ("" for none), what was kept under it before ("" for nothing), what is to be kept, and for how long (s)
-- Answers 1; 0 where the memory or the erasure is another one; what is kept where somebody else was first.
local function reserve(keys, args)
  if args[7] ~= '' then
    local kept = redis.call('HGET', keys[3], args[7])
    if kept and kept ~= args[8] then
      return kept
    end
  end
  local found = redis.call('HMGET', keys[1], 'x', 'v')
  if string.sub(found[1] or '', 1, STAMP) ~= args[1] or (number_in(keys[1], 't') or '') ~= args[2] then
    return 0
  end
  redis.call('HSET', keys[1], 'id', args[3], 'x', args[4])
  local left = redis.call('TTL', keys[1])
  if not found[2] and left < tonumber(args[5]) then
    redis.call('EXPIRE', keys[1], args[5])
  end
  redis.call('XADD', keys[2], '*', 'k', 'd', 'b', args[6])
  if args[7] ~= '' then
    drop_old(keys[3], args[10])
    redis.call('HSET', keys[3], args[7], args[9])
    redis.call('EXPIRE', keys[3], args[10])
  end
  return 1
end

-- A tombstone that the store has lost is put back: what came meanwhile goes, and is made again from the log.
-- keys: record, keyed decisions, then the zsets; args: erased at (microseconds), seconds to remember it, member
local function bury(keys, args)
  local at = number_in(keys[1], 't')
  if at and tonumber(at) >= tonumber(args[1]) then
    return 0
  end
  entomb(keys, 3, args[1], args[2], args[3])
  return 1
end

-- A customer whose record has expired leaves the zsets; one who came back meanwhile stays.
-- keys: record, then the zsets; args: member
local function forget(keys, args)
  if redis.call('EXISTS', keys[1]) == 1 then
    return 0
  end
  for i = 2, #keys do
    redis.call('ZREM', keys[i], args[1])
  end
  return 1
end

-- An event that belongs to no customer: once a day by its id.
-- keys: events, seen id; args: digest of the body, seconds to remember, event. Answers the digest it came with
-- before, nil when it is new.
local function append(keys, args)
  local known = redis.call('GET', keys[2])
  if known then
    return known
  end
  redis.call('XADD', keys[1], '*', 'k', 'e', 'b', args[3])
  redis.call('SET', keys[2], args[1], 'EX', args[2])
  return nil
end

-- Items are put and announced in one step; the announcement carries the item.
-- keys: items, control; args: kept announcements, then item key and item in turn
local function put_items(keys, args)
  for i = 2, #args, 2 do
    redis.call('HSET', keys[1], args[i], args[i + 1])
    redis.call('XADD', keys[2], 'MAXLEN', '~', args[1], '*', 'k', 'item', 'b', args[i + 1])
  end
  return (#args - 1) / 2
end

-- A lease with a fencing token: renewed by its owner, taken when it has run out. Whoever takes it has the
-- newest token from that moment on, so the one before can change the claim no more.
-- Whoever is not the one it is wanted for lets go of it.
-- keys: lease, claim, wanted; args: owner, milliseconds. Answers the token, 0 when another holds it.
local function lease(keys, args)
  local held, wanted = redis.call('GET', keys[1]), redis.call('GET', keys[3])
  if wanted and wanted ~= args[1] then
    if held and string.match(held, '^(.*)|%d+$') == args[1] then
      redis.call('DEL', keys[1])
    end
    return 0
  end
  if held then
    local owner, token = string.match(held, '^(.*)|(%d+)$')
    if owner ~= args[1] then
      return 0
    end
    redis.call('PEXPIRE', keys[1], args[2])
    return tonumber(token)
  end
  local token = redis.call('HINCRBY', keys[2], 'token', 1)
  redis.call('SET', keys[1], args[1] .. '|' .. string.format('%d', token), 'PX', args[2])
  return token
end

-- keys: lease; args: owner. Answers 1, or 0 to whoever does not hold it.
local function release(keys, args)
  local held = redis.call('GET', keys[1])
  if held and string.match(held, '^(.*)|%d+$') == args[1] then
    return redis.call('DEL', keys[1])
  end
  return 0
end

-- The claim may be changed by whoever took the lease last.
-- keys: claim; args: token, claim ("" removes it). Answers 1, or 0 to one who was overtaken.
local function claim(keys, args)
  if redis.call('HGET', keys[1], 'token') ~= args[1] then
    return 0
  end
  redis.call('HSET', keys[1], 'claim', args[2])
  return 1
end

redis.register_function('rihla_commit', commit)
redis.register_function('rihla_erase', erase)
redis.register_function('rihla_reserve', reserve)
redis.register_function('rihla_bury', bury)
redis.register_function('rihla_forget', forget)
redis.register_function('rihla_append', append)
redis.register_function('rihla_put_items', put_items)
redis.register_function('rihla_lease', lease)
redis.register_function('rihla_release', release)
redis.register_function('rihla_claim', claim)
