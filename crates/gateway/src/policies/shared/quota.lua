-- Counts what is used of a quota. KEYS[1] is what one caller uses in one period: a hash of what each gateway has let pass,
-- and the sum of that. ARGV: the amount, what to take (0 to look), the field of this gateway, what it has let pass by its own
-- count, what it knows that others have, and the seconds that the hash is to last.
-- Returns 1 when it takes, else 0; what all have used; what this gateway has by this count.
local amount, cost, mine, others = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local known = redis.call('HMGET', KEYS[1], 'sum', ARGV[3])
local sum, own = tonumber(known[1] or '0'), tonumber(known[2] or '0')
-- What this gateway let pass while nobody could be asked.
local owed = math.max(0, mine - own)
sum, own = sum + owed, own + owed
-- Others have used what they were known to have used, also when this server has forgotten it.
local used = math.max(sum, others + own)
local takes = cost > 0 and used + cost <= amount
if takes then
  sum, own, used = sum + cost, own + cost, used + cost
end
if takes or owed > 0 then
  redis.call('HSET', KEYS[1], 'sum', string.format('%.0f', sum), ARGV[3], string.format('%.0f', own))
  if not known[1] then
    redis.call('EXPIRE', KEYS[1], ARGV[6])
  end
end
return { takes and 1 or 0, used, own }
