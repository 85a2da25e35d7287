-- Changes tags, all of them or none, and enters them into the history.
--
-- A script and no function: who may load functions could put others into the place of those that agents call, with the
-- agents' rights. A script runs with the rights of the user who sends it. `store/tags.rs` adds what stands before it.
--
-- KEYS[1]: what the keys of tags begin with. ARGV: the most tags and the most entries of the history, then
-- for each change: field, value (empty to clear), the field that cannot stand beside it (or empty), the
-- entry for the history, and the entry for the end of that other field.
-- A tag that is set again with the same words keeps its time, so that a list may be imported every day.
-- Answers a letter for each change: '=' as before, '+' new, '~' changed, '!' set and the other field gone,
-- '-' cleared; or 'full', or 'H' and a key that is damaged.

local call, format, match, max = redis.call, string.format, string.match, math.max
local tags, meta, history = KEYS[1] .. 't', KEYS[1] .. 'm', KEYS[1] .. 'h'

-- All that runs below.
local COMMANDS = {
  hget = { 'f' }, hmget = { 'f' }, hlen = {}, hset = { 'f', 'v' }, hdel = { 'f' }, hincrby = { 'f', '1' },
  lrange = { '0', '0' }, rpush = { 'v' }, ltrim = { '0', '1' },
}
local refusal = refused(KEYS[1], COMMANDS)
if refusal then return refusal end

-- The number that an entry of the history begins with.
local function entry_number(entries)
  return tonumber(entries[1] and match(entries[1], '^(%d+) ') or nil)
end

-- Refuses where one of the keys is not what the others say; answers how many entries of the history there ever were.
-- `store/tags.rs` checks the same.
local function check(kept)
  reading = meta
  local M = call('HMGET', meta, 'n', 'g', 'k', 'f')
  for i = 1, 4 do
    local is_number = not M[i] or tonumber(M[i])
    if not is_number or (M[i] and not M[1]) then refuse('H' .. meta) end
    M[i] = tonumber(M[i] or nil)
  end
  if M[1] and not M[2] then refuse('H' .. meta) end
  reading = tags
  local count = call('HLEN', tags)
  reading = history
  local last = entry_number(call('LRANGE', history, '-1', '-1'))
  if not M[1] then
    if count > 0 or last then refuse('H' .. meta) end
    return 0
  end
  if M[3] and M[3] ~= count then refuse('H' .. tags) end
  local first = max(M[4] or 1, M[1] - kept + 1)
  if first <= M[1] then
    if last ~= M[1] or entry_number(call('LRANGE', history, '0', '0')) ~= first then refuse('H' .. history) end
  elseif call('LRANGE', history, '0', '0')[1] then
    refuse('H' .. history)
  end
  return M[1]
end

local most, kept = match(ARGV[1], '(%d+) (%d+)')
local checked, known = pcall(check, tonumber(kept))
if not checked then return refusal_of(known) end

local room = tonumber(most) - call('HLEN', tags)
if room < #ARGV / 5 then
  for i = 2, #ARGV, 5 do
    if ARGV[i + 1] ~= '' and not call('HGET', tags, ARGV[i]) then room = room - 1 end
  end
  if room < 0 then return 'full' end
end

-- The prefix lengths that tags have, as `4/24 6/48`: an address is looked up under each of them.
local lengths, is_longer = call('HGET', meta, 'p') or '', false
local function note_length(field)
  local address, length = match(field, '^%a+ @(.+)/(%d+)$')
  if not length then return end
  local word = (string.find(address, ':', 1, true) and '6/' or '4/') .. length
  if not string.find(' ' .. lengths .. ' ', ' ' .. word .. ' ', 1, true) then
    lengths, is_longer = lengths == '' and word or lengths .. ' ' .. word, true
  end
end

local outcomes, entries = {}, {}
local function enter(entry)
  entries[#entries + 1] = format('%.0f ', known + #entries + 1) .. entry
end
for i = 2, #ARGV, 5 do
  local field, value, other = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local old, letter = call('HGET', tags, field), '='
  if value == '' then
    if old then
      call('HDEL', tags, field)
      enter(ARGV[i + 3])
      letter = '-'
    end
  else
    local displaced = other ~= '' and call('HDEL', tags, other) == 1
    if displaced then enter(ARGV[i + 4]) end
    -- The words follow the time and a space.
    if not old or match(old, ' .*$') ~= match(value, ' .*$') then
      call('HSET', tags, field, value)
      note_length(field)
      enter(ARGV[i + 3])
      letter = old and '~' or '+'
    end
    if displaced then letter = '!' end
  end
  outcomes[#outcomes + 1] = letter
end
if #entries > 0 then
  call('RPUSH', history, unpack(entries))
  call('LTRIM', history, '-' .. kept, '-1')
  call('HINCRBY', meta, 'n', #entries)
  call('HINCRBY', meta, 'g', 1)
  -- Programs of schema version 2 refuse a `c` that is not the number of tags.
  call('HSET', meta, 'k', call('HLEN', tags), 'c', '-1')
  if is_longer then call('HSET', meta, 'p', lengths) end
end
return table.concat(outcomes)
