-- Takes from all limits or from none: the generic cell rate algorithm on a level and the time it was read.
-- KEYS: one for each limit. ARGV: 1 to charge whatever room there is, else 0; then for each limit the requests that it
-- gives back in a microsecond, its room, and the least and the most to take. Returns for each limit what it gives (0: it
-- refuses), what is left, and microseconds: until it could, or until all is back.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local force, all = ARGV[1] == '1', true
local limits = {}
for i, key in ipairs(KEYS) do
  local n = i * 4 - 2
  local limit = { speed = tonumber(ARGV[n]), room = tonumber(ARGV[n + 1]), least = tonumber(ARGV[n + 2]), level = 0 }
  local most = tonumber(ARGV[n + 3])
  local level, at = string.match(redis.call('GET', key) or '', '^(%S+) (%S+)$')
  if level then
    limit.level = math.max(0, tonumber(level) - math.max(0, now - tonumber(at)) * limit.speed)
  end
  -- A millionth of a request is what fractions may be wrong by.
  limit.gives = math.min(most, math.floor(limit.room - limit.level + 0.000001))
  if force then
    limit.gives = most
  elseif limit.gives < limit.least then
    limit.gives, all = 0, false
  end
  limits[i] = limit
end
local told = {}
for i, key in ipairs(KEYS) do
  local limit = limits[i]
  local wait = limit.level
  if all then
    limit.level = math.max(0, limit.level + limit.gives)
    wait = limit.level
    local lasts = math.min(1e13, math.ceil(limit.level / limit.speed / 1000) + 1000)
    redis.call('SET', key, string.format('%.17g %.0f', limit.level, now), 'PX', string.format('%.0f', lasts))
  elseif limit.gives == 0 then
    wait = limit.level + limit.least - limit.room
  end
  table.insert(told, limit.gives)
  table.insert(told, math.max(0, math.floor(limit.room - limit.level + 0.000001)))
  table.insert(told, math.min(9e15, math.ceil(wait / limit.speed)))
end
return told
