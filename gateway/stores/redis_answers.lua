-- One atomic step at one answer. KEYS: the answer, its lease, the index of all answers, the purges' counter.
-- The index is a sorted set of "route model digest" by the time (ms) at which the answer ends.
-- ARGV[1]: JSON. act = look | keep | release | renew.
local ask = cjson.decode(ARGV[1])
local answer, lease, index = KEYS[1], KEYS[2], KEYS[3]
local generation = tonumber(redis.call('GET', KEYS[4]) or '0')
local holder = redis.call('GET', lease)

if ask.act == 'look' then
  local found = redis.call('GET', answer)
  if found then
    return cjson.encode({hit = found})
  end
  if holder == 'alone' then
    return '{"alone":true}'
  end
  if holder and holder ~= ask.token then
    return '{"wait":true}'
  end
  redis.call('SET', lease, ask.token, 'PX', ask.lease_ms)
  return cjson.encode({lead = generation})
end

if ask.act == 'keep' and (ask.generation == generation or ask.generation == -1) then
  local time = redis.call('TIME')
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('SET', answer, ask.answer, 'PX', ask.ttl_ms)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now_ms)
  redis.call('ZADD', index, now_ms + ask.ttl_ms, ask.member)
  if redis.call('ZCARD', index) > ask.max_entries then
    local ending = redis.call('ZPOPMIN', index)[1]
    redis.call('UNLINK', ask.prefix .. string.match(ending, '(%S+)$'))
  end
end

if holder == ask.token then
  if ask.act == 'renew' then
    redis.call('PEXPIRE', lease, ask.lease_ms)
  elseif ask.alone then
    redis.call('SET', lease, 'alone', 'PX', ask.alone_ms)
  else
    redis.call('DEL', lease)
  end
end
return '{}'
