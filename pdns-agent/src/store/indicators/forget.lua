-- Removes a source of which nothing was ever stored, and gives the lease back.
--
-- KEYS[1]: what the keys of indicators begin with. ARGV: the source's number, the token of the lease, the source's name.
-- Answers 'O' done, 'L' the lease is lost.

local call = redis.call
local meta, sources, leases = KEYS[1] .. 'i', KEYS[1] .. 'is', KEYS[1] .. 'il'

local refusal = refused(KEYS[1], { hget = { 'f' }, hdel = { 'f' }, hincrby = { 'f', '1' } })
if refusal then return refusal end

local function check()
  reading = leases
  local lease = call('HGET', leases, ARGV[1])
  if not lease or string.match(lease, '^%S+') ~= ARGV[2] then refuse('L') end
  reading = meta
  call('HGET', meta, 'g')
end
local checked, failure = pcall(check)
if not checked then return refusal_of(failure) end

call('HDEL', sources, ARGV[1])
call('HDEL', meta, '=' .. ARGV[3])
call('HINCRBY', meta, 'g', 1)
call('HDEL', leases, ARGV[1])
return 'O'
