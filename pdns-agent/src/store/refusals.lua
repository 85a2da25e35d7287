-- How a call is refused: stands before the functions (`store/write/functions.lua`) and before the script that changes tags
-- (`store/tags/change.lua`).

-- The key that is being read, for the answer that says which one is of the wrong type.
local reading

-- Ends a check: nothing was written yet, and `answer` says why nothing will be.
local function refuse(answer)
  error({ answer = answer })
end

-- The error that ended a call.
local function failed(failure)
  -- Redis 7.0 throws its errors as text, later versions as tables; what Lua throws has no code.
  local text = type(failure) == 'table' and failure.err or tostring(failure)
  if not string.match(text, '^%u+ ') then text = 'ERR ' .. text end
  return redis.error_reply(text)
end

-- The answer of a call whose check ended with an error: a refusal, a key of another type, or the error.
local function refusal_of(failure)
  local text = failure
  if type(failure) == 'table' then
    if failure.answer then return failure.answer end
    text = failure.err
  end
  if type(text) == 'string' and string.find(text, 'WRONGTYPE', 1, true) then return 'H' .. reading end
  return failed(failure)
end

-- An error when the user may not run all these commands, with as many words as each needs behind its key. Asked for before
-- anything is written: one who is stopped half-way would leave half of it behind.
local function refused(key, commands)
  if not redis.acl_check_cmd then return nil end
  for command, words in pairs(commands) do
    if not redis.acl_check_cmd(command, key, unpack(words)) then
      return redis.error_reply('NOPERM this user may not run ' .. command .. ' on ' .. key)
    end
  end
end

