-- One atomic step of one key's limits. The rules are those of key_limits.py; tests hold both to the same table.
-- KEYS[1]: hash of what was used, a field per second: "r<second>" requests, "t<second>" tokens.
-- KEYS[2]: sorted set of the requests under way, by the end of their lease.
-- ARGV[1]: JSON. act = take | finish | renew; now_ms replaces the server's clock.
local WINDOW = 60
local ask = cjson.decode(ARGV[1])
local now_ms = ask.now_ms
if not now_ms then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end
local second = math.floor(now_ms / 1000)

local function renew(ids)
  for _, id in ipairs(ids) do
    redis.call('ZADD', KEYS[2], now_ms + ask.lease_ms, id)
  end
  redis.call('PEXPIRE', KEYS[2], ask.lease_ms)
end

local function add(letter, at, amount)
  redis.call('HINCRBY', KEYS[1], letter .. at, amount)
  redis.call('EXPIRE', KEYS[1], 2 * WINDOW)
end

if ask.act == 'renew' then
  renew(ask.ids)
  return '{}'
end

if ask.act == 'finish' then
  redis.call('ZREM', KEYS[2], ask.id)
  if ask.more > 0 then
    add('t', second, ask.more)
  elseif ask.less > 0 and ask.second > second - WINDOW then
    local field = 't' .. ask.second
    local there = tonumber(redis.call('HGET', KEYS[1], field) or '0')
    if there > 0 then
      redis.call('HSET', KEYS[1], field, math.max(0, there - ask.less))
    end
  end
  return '{}'
end

local windows = {r = {}, t = {}}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local at = tonumber(string.sub(stored[i], 2))
  if at <= second - WINDOW then
    redis.call('HDEL', KEYS[1], stored[i])
  else
    table.insert(windows[string.sub(stored[i], 1, 1)], {at, tonumber(stored[i + 1])})
  end
end

local function used(window)
  local sum = 0
  for _, entry in ipairs(window) do sum = sum + entry[2] end
  return sum
end

local function frees_at(window, amount)
  table.sort(window, function(a, b) return a[1] < b[1] end)
  local freed = 0
  for _, entry in ipairs(window) do
    freed = freed + entry[2]
    if freed >= amount then return (entry[1] + WINDOW) * 1000 - now_ms end
  end
  return WINDOW * 1000
end

local refused, retry_ms = '', 0
if ask.parallel then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
  if redis.call('ZCARD', KEYS[2]) >= ask.parallel then refused, retry_ms = 'max_parallel', ask.place_retry_ms end
end
if refused == '' and ask.requests then
  local over = used(windows.r) + 1 - ask.requests
  if over > 0 then refused, retry_ms = 'requests_per_minute', frees_at(windows.r, over) end
end
if refused == '' and ask.tokens_limit then
  local over = used(windows.t) + ask.tokens - ask.tokens_limit
  if over > 0 then refused, retry_ms = 'tokens_per_minute', frees_at(windows.t, over) end
end

if refused == '' then
  if ask.requests then
    add('r', second, 1)
    table.insert(windows.r, {second, 1})
  end
  if ask.tokens_limit then
    add('t', second, ask.tokens)
    table.insert(windows.t, {second, ask.tokens})
  end
  if ask.parallel then renew({ask.id}) end
end

local function standing(window)
  local newest = 0
  for _, entry in ipairs(window) do
    if entry[2] > 0 then newest = math.max(newest, entry[1]) end
  end
  return {used = used(window), reset_ms = newest > 0 and (newest + WINDOW) * 1000 - now_ms or 0}
end

return cjson.encode({
  second = second, refused = refused, retry_ms = retry_ms, r = standing(windows.r), t = standing(windows.t)
})
