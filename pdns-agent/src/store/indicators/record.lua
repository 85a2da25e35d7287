-- Ends an import: writes the source's record and its history, and gives the lease back.
--
-- KEYS[1]: what the keys of indicators begin with. ARGV: the source's number, the token of the lease, the record, the entry of
-- the history (empty: none), the most entries, the most changes, then the changes. Answers 'O' done, 'L' the lease is lost.

local call = redis.call
local meta, sources, leases = KEYS[1] .. 'i', KEYS[1] .. 'is', KEYS[1] .. 'il'
local history, changes = KEYS[1] .. 'ih' .. ARGV[1], KEYS[1] .. 'ic' .. ARGV[1]

local COMMANDS = {
  hget = { 'f' }, hset = { 'f', 'v' }, hdel = { 'f' }, hincrby = { 'f', '1' }, rpush = { 'v' }, ltrim = { '0', '1' },
}
local refusal = refused(KEYS[1], COMMANDS)
if refusal then return refusal end

local function check()
  reading = leases
  local lease = call('HGET', leases, ARGV[1])
  if not lease or string.match(lease, '^%S+') ~= ARGV[2] then refuse('L') end
end
local checked, failure = pcall(check)
if not checked then return refusal_of(failure) end

if ARGV[4] ~= '' then
  call('RPUSH', history, ARGV[4])
  call('LTRIM', history, '-' .. ARGV[5], '-1')
end
for i = 7, #ARGV do call('RPUSH', changes, ARGV[i]) end
if #ARGV >= 7 then call('LTRIM', changes, '-' .. ARGV[6], '-1') end
call('HSET', sources, ARGV[1], ARGV[3])
call('HINCRBY', meta, 'g', 1)
call('HDEL', leases, ARGV[1])
return 'O'
