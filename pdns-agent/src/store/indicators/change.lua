-- Writes buckets of indicators, for a process that holds the lease of the source.
--
-- KEYS[1]: what the keys of indicators begin with. ARGV: the shard, its version as it was read, the source's number, the
-- token of the lease, the time until which it is extended, then field and value of each bucket; an empty value deletes.
-- Without buckets it only extends the lease. Answers 'O' done, 'L' the lease is lost, 'C' the shard was changed meanwhile.

local call = redis.call
local meta, shard, leases = KEYS[1] .. 'i', KEYS[1] .. 'ib' .. ARGV[1], KEYS[1] .. 'il'

local COMMANDS = { hget = { 'f' }, hset = { 'f', 'v' }, hdel = { 'f' }, hincrby = { 'f', '1' } }
local refusal = refused(KEYS[1], COMMANDS)
if refusal then return refusal end

local function check()
  reading = leases
  local lease = call('HGET', leases, ARGV[3])
  if not lease or string.match(lease, '^%S+') ~= ARGV[4] then refuse('L') end
  reading = shard
  if #ARGV > 5 and (call('HGET', shard, 'v') or '0') ~= ARGV[2] then refuse('C') end
  reading = meta
  call('HGET', meta, 'g')
end
local checked, failure = pcall(check)
if not checked then return refusal_of(failure) end

for i = 6, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    call('HDEL', shard, ARGV[i])
  else
    call('HSET', shard, ARGV[i], ARGV[i + 1])
  end
end
if #ARGV > 5 then
  call('HINCRBY', shard, 'v', 1)
  call('HINCRBY', meta, 'g', 1)
end
call('HSET', leases, ARGV[3], ARGV[4] .. ' ' .. ARGV[5])
return 'O'
