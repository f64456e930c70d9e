-- One provider's circuit breaker, shared by a fleet: every change of its state is one run of this script.
-- The rules are those of gateway/engine/breaker.py; one table of stories holds both to them (tests/stores).
--
-- KEYS[1]  the breaker's hash            ARGV[1]  the channel on which changes are published
-- KEYS[2]  the failure rate's hash: successes and failures of the fleet by the time their bucket begins
-- ARGV[2]  the caller's view of it: {state, failures, opened_at, probe_expires_at, last_error, answered_from,
--          failed_from, generation, version}; answered_from and failed_from are when the latest of the attempts that
--          succeeded, and of those that are counted as failures, began
-- ARGV[3]  what is asked: {act, …}
-- Times are whole milliseconds since 1970 by this server's clock, 0 for none. `version` grows with every change.
-- Whatever is asked may carry `counted: {window, buckets: [[start, successes, failures]]}`, what the caller has seen
-- since it last told.
-- Answers {now, breaker, granted, changes: [{report, before, after, cause}], rate: [[start, name, count]]}; `report`
-- counts from 1, 0 for none; `rate` is what the fleet has counted within the window.

local key, channel = KEYS[1], ARGV[1]
local view, ask = cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local breaker, changes, dirty = nil, {}, false
local granted = cjson.null

local function server_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local now = ask.now or server_time()

local function copy(from)
  return {
    provider = ask.provider,
    state = from.state,
    failures = tonumber(from.failures),
    opened_at = tonumber(from.opened_at),
    probe_expires_at = tonumber(from.probe_expires_at),
    last_error = from.last_error,
    answered_from = tonumber(from.answered_from or 0),
    failed_from = tonumber(from.failed_from or 0),
    generation = tonumber(from.generation),
    version = tonumber(from.version),
    owner = from.owner or '',
  }
end

local function stored_breaker()
  local stored = {}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do stored[fields[i]] = fields[i + 1] end
  return stored.version and copy(stored) or nil
end

-- What is stored; or, where that was lost (flushed, restarted empty) or is older, what the caller knows.
local function load()
  local stored = stored_breaker()
  if stored and stored.version >= view.version then
    breaker = stored
  else
    breaker, dirty = copy(view), view.version > 0 or view.state ~= 'closed'
    if view.version == 0 and dirty then breaker.version = 1 end
  end
  return stored
end

local function change(report, before, cause)
  breaker.version = breaker.version + 1
  dirty = true
  changes[#changes + 1] = { report = report, before = before, after = copy(breaker), cause = cause }
end

local function close()
  breaker.state, breaker.failures, breaker.opened_at = 'closed', 0, 0
  breaker.probe_expires_at, breaker.last_error, breaker.failed_from = 0, '', 0
  breaker.generation = breaker.generation + 1
end

local function open(at)
  breaker.state, breaker.opened_at, breaker.probe_expires_at = 'open', at, 0
  breaker.generation = breaker.generation + 1
end

local function report_probe(index, outcome)
  if outcome == 'none' then -- given back: the next request probes
    breaker.probe_expires_at = now
    breaker.version, dirty = breaker.version + 1, true
  elseif outcome == 'success' then
    close()
    change(index, 'half_open', 'the probe succeeded')
  else
    breaker.failures = breaker.failures + 1
    open(now)
    change(index, 'half_open', 'the probe failed')
  end
end

-- Nothing has begun after `now`: what a clock said that was set back since, here or at a caller's, is forgotten.
local function answer(began)
  local answered_from = math.min(math.max(breaker.answered_from, began), now)
  if answered_from < breaker.answered_from then dirty = true end
  breaker.answered_from = answered_from
end

local function succeed_closed(index, began)
  answer(began)
  if breaker.failures > 0 then
    breaker.failures, breaker.failed_from = 0, 0
    change(index, 'closed', '')
  end
end

-- Successes that a process saw while it knew of no failure were not reported. What it knows of them comes with its next
-- failure: this one, and all that is counted, may be stale by it.
local function fail_closed(index, began)
  answer(view.answered_from)
  if began < breaker.answered_from then return end
  if breaker.answered_from > breaker.failed_from then breaker.failures = 0 end
  breaker.failures = breaker.failures + 1
  breaker.failed_from = math.max(breaker.failed_from, began)
  local cause = ''
  if breaker.failures >= ask.failure_threshold then
    open(now)
    cause = string.format('%d consecutive failures', breaker.failures)
  end
  change(index, 'closed', cause)
end
local acts = {}

function acts.admit()
  if breaker.state == 'closed' then
    granted = 'permit'
    return
  end
  local due = breaker.state == 'open' and breaker.opened_at + ask.cooldown or breaker.probe_expires_at
  if now < due then return end
  local before = breaker.state
  breaker.state, breaker.owner = 'half_open', ask.owner
  breaker.generation = breaker.generation + 1
  breaker.probe_expires_at = now + ask.longest
  granted = 'probe'
  if before ~= 'half_open' then
    change(0, before, 'the cool-down is over: one probe')
  else
    breaker.version, dirty = breaker.version + 1, true
  end
end

function acts.report()
  for index, report in ipairs(ask.reports) do
    if report.outcome == 'failure' and breaker.last_error ~= report.error then
      breaker.last_error, dirty = report.error, true
    end
    if report.generation == breaker.generation then
      if report.probe and breaker.state == 'half_open' then
        report_probe(index, report.outcome)
      elseif not report.probe and breaker.state == 'closed' then
        if report.outcome == 'success' then succeed_closed(index, report.began) end
        if report.outcome == 'failure' then fail_closed(index, report.began) end
      end
    end
  end
end

function acts.reset()
  local before = breaker.state
  close()
  change(0, before, ask.cause)
end

function acts.read() end

-- The caller went on alone and is back. Whichever side holds the breaker open is believed, until a probe says otherwise.
-- A probe that was granted to the caller in an answer it never got goes to the next request.
function acts.rejoin(stored)
  if not stored then return end
  local newest = math.max(stored.version, view.version)
  if view.state ~= 'closed' and stored.state == 'closed' then
    breaker = stored
    breaker.failures, breaker.last_error = view.failures, view.last_error
    open(view.opened_at)
    breaker.version, dirty = newest + 1, true
  elseif stored.state ~= 'closed' and view.state == 'closed' then
    breaker = stored
    breaker.version, dirty = newest + 1, true
  end
  if breaker.state == 'half_open' and breaker.owner == ask.owner and breaker.generation >= view.generation then
    breaker.probe_expires_at = breaker.generation > view.generation and now or view.probe_expires_at
    breaker.version, dirty = breaker.version + 1, true
  end
end

local function save()
  local fields = {}
  for name, value in pairs(breaker) do
    fields[#fields + 1] = name
    fields[#fields + 1] = type(value) == 'number' and string.format('%.0f', value) or value
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIRE', key, ask.keep)
  redis.call('PUBLISH', channel, cjson.encode(breaker))
end

local function add(start, name, count)
  if count > 0 then redis.call('HINCRBY', KEYS[2], string.format('%.0f:%s', start, name), string.format('%.0f', count)) end
end

-- Adds what the caller has counted, forgets what has left the window, and answers what is left.
local function rate(counted)
  for _, bucket in ipairs(counted.buckets) do
    add(bucket[1], 'successes', bucket[2])
    add(bucket[1], 'failures', bucket[3])
  end
  if #counted.buckets > 0 then redis.call('PEXPIRE', KEYS[2], counted.window * 2) end
  local left, fields = {}, redis.call('HGETALL', KEYS[2])
  for i = 1, #fields, 2 do
    local start, name = string.match(fields[i], '^(%d+):(%a+)$')
    if tonumber(start) <= now - counted.window then
      redis.call('HDEL', KEYS[2], fields[i])
    else
      left[#left + 1] = { tonumber(start), name, tonumber(fields[i + 1]) }
    end
  end
  return left
end

acts[ask.act](load())
if dirty then save() end
return cjson.encode({
  now = now, breaker = breaker, granted = granted, changes = changes, rate = ask.counted and rate(ask.counted),
})
