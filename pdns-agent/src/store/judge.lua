-- Takes, extends or gives back the lease of the judge, and writes its state.
--
-- KEYS[1]: the hash of the judge. ARGV: 'take', 'put' or 'free'; a token; the time now; the time until which the lease is
-- taken, a space and its holder; for 'put' the state.
-- Answers 'O' done, or 'L' and the lease of another process.

local call = redis.call

local refusal = refused(KEYS[1], { hget = { 'f' }, hset = { 'f', 'v' }, hdel = { 'f' } })
if refusal then return refusal end

local function check()
  reading = KEYS[1]
  return call('HGET', KEYS[1], 'l')
end
local checked, lease = pcall(check)
if not checked then return refusal_of(lease) end

local token, ends = string.match(lease or '', '^(%S+) (%d+) ')
local is_ours = token == ARGV[2]
if ARGV[1] == 'free' then
  if is_ours then call('HDEL', KEYS[1], 'l') end
  return 'O'
end
-- One whose lease has ended may go on unless another has taken it.
if token and not is_ours and tonumber(ends) > tonumber(ARGV[3]) then return 'L' .. lease end
if ARGV[1] == 'put' then
  if token and not is_ours then return 'L' .. lease end
  call('HSET', KEYS[1], 's', ARGV[5])
end
call('HSET', KEYS[1], 'l', ARGV[2] .. ' ' .. ARGV[4])
return 'O'
