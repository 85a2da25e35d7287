-- Finds or makes a source of indicators, and takes the lease on it: one process at a time imports from a source.
--
-- KEYS[1]: what the keys of indicators begin with. ARGV: the source's name, its record if it is new, a token for the lease,
-- the time now, the time until which the lease is taken.
-- Answers the source's number, with 'N' before it if the source is new, or 'L' and the time at which the lease of another process ends.

local call = redis.call
local meta, sources, leases = KEYS[1] .. 'i', KEYS[1] .. 'is', KEYS[1] .. 'il'

local refusal = refused(KEYS[1], { hget = { 'f' }, hset = { 'f', 'v' }, hincrby = { 'f', '1' } })
if refusal then return refusal end

local function find()
  reading = leases
  call('HGET', leases, '0')
  reading = sources
  call('HGET', sources, '0')
  reading = meta
  return call('HGET', meta, '=' .. ARGV[1])
end
local new = ''
local checked, number = pcall(find)
if not checked then return refusal_of(number) end

if number then
  local lease = call('HGET', leases, number)
  local ends = lease and tonumber(string.match(lease, '%d+$'))
  if ends and ends > tonumber(ARGV[4]) then return 'L' .. ends end
else
  new = 'N'
  number = tostring(call('HINCRBY', meta, 's', 1))
  call('HSET', meta, '=' .. ARGV[1], number)
  call('HSET', sources, number, ARGV[2])
end
call('HSET', leases, number, ARGV[3] .. ' ' .. ARGV[5])
return new .. number
