-- The part of the store that runs inside Redis: what must be atomic, and nothing else.
--
-- Loaded once as a function library; `store/redis/client.rs` puts the digest of this text into the library's and
-- the functions' names (DIGEST below), so that agents of different versions share a server in peace.
-- The key layout is described in `store/layout/keys.rs`, values and rows in `store/layout/encoding.rs`, what does not fit
-- into a row in `store/layout/extension.rs`, the protocol of batches in `store/write/checkpoint.rs`. Rows merge by the
-- law of `Seen::merge` in `observation.rs`. Lua's numbers are doubles, exact up to 2^53, where counts end.
--
-- A Lua error does not undo what a function wrote before it. So what can be is checked first (`prepare`), and `upsert` keeps
-- what undoes its writes: a failure must not leave half a batch behind, which the next attempt would count again.
-- How a call is refused stands before this text, in `store/refusals.lua`.
-- Redis 7.0 forbids globals while a library loads, hence `init` at the first call.

local unpack_, pack, call, sub, byte, floor, concat, bor, format
local ROW = '>I4I4I4I4I4I4I4I4'
local ROWS, LOG, NO_TTL = 2047, 65500, 4294967295
-- The count of a row whose count is elsewhere, the highest bit of 32, the largest count, and the sensors of a row whose
-- set is elsewhere.
local LARGE, HIGH_BIT, MAX_COUNT, MANY = 4294967295, 2147483648, 9007199254740991, 4294967295
local LOG_END = '65499'
local FROM, TO, NUMBER = {}, {}, {}
-- Stands for the row of a name that is not kept; how many names are kept as a sample of a domain's, and how many registers
-- of those that are not; and of how many days the new names are counted.
local UNKEPT, SAMPLE, REGISTERS, DAYS = -1, 16, 4096, 4
local function init()
  unpack_, pack, call, sub, byte = struct.unpack, struct.pack, redis.call, string.sub, string.byte
  floor, concat, bor, format = math.floor, table.concat, bit.bor, string.format
  -- More than a third of a GETRANGE is Lua making text of a number: the texts are kept ready.
  for i = 0, ROWS - 1 do
    FROM[i] = format('%d', i * 32)
    TO[i] = format('%d', i * 32 + 31)
  end
end

local function number(i)
  local text = NUMBER[i]
  if not text then
    text = format('%d', i)
    NUMBER[i] = text
  end
  return text
end

-- The union of two bit sets of 32 bits; `bit` answers signed numbers.
local function union(x, y)
  local z = bor(x, y)
  if z < 0 then z = z + 4294967296 end
  return z
end

-- Bucket of a hash under linear hashing: `half` = 2^k buckets, of which the first `split` are split.
local function bucket(hash, half, split)
  local i = hash % half
  if i < split then i = hash % (half * 2) end
  return i
end

local function hex(text)
  return (string.gsub(text, '.', function(c) return format('%02x', byte(c)) end))
end

-- The numbers of a set of sensors, ascending: the fields `ttl_max` and `sensors` of a row, and the set where it is elsewhere.
local function numbers_of(x, s, set)
  if x >= HIGH_BIT and s ~= MANY then return { s } end
  local list, n = {}, 0
  if x < HIGH_BIT then
    local bit_ = 0
    while s > 0 do
      if s % 2 == 1 then n = n + 1; list[n] = bit_ end
      s, bit_ = floor(s / 2), bit_ + 1
    end
  elseif byte(set) == 0 then
    for i = 2, #set - 1, 2 do n = n + 1; list[n] = unpack_('>I2', set, i) end
  else
    for i = 2, #set do
      local octet, number_ = byte(set, i), (i - 2) * 8
      while octet > 0 do
        if octet % 2 == 1 then n = n + 1; list[n] = number_ end
        octet, number_ = floor(octet / 2), number_ + 1
      end
    end
  end
  return list
end

-- Whether the numbers of the second list are in the first.
local function has_all(list, more)
  local there = {}
  for i = 1, #list do there[list[i]] = true end
  for i = 1, #more do
    if not there[more[i]] then return false end
  end
  return true
end

-- Two lists of numbers as a set of sensors that is not in its row, in the shorter of its two forms.
local function set_of(list, more)
  local there, all, n, last = {}, {}, 0, 0
  for _, part in ipairs({ list, more }) do
    for i = 1, #part do
      local number_ = part[i]
      if not there[number_] then
        there[number_] = true
        n = n + 1
        all[n] = number_
        if number_ > last then last = number_ end
      end
    end
  end
  local octets = floor(last / 8) + 1
  local out = {}
  if n * 2 <= octets then
    table.sort(all)
    for i = 1, n do out[i] = pack('>I2', all[i]) end
    return '\0' .. concat(out)
  end
  for i = 1, octets do out[i] = 0 end
  for i = 1, n do
    local at = floor(all[i] / 8) + 1
    out[at] = out[at] + 2 ^ (all[i] % 8)
  end
  for i = 1, octets do out[i] = string.char(out[i]) end
  return '\1' .. concat(out)
end

-- A large count from its eight octets: the number, and whether it is a lower bound.
local function read_count(octets, at)
  local high, low = unpack_('>I4I4', octets, at)
  return (high % HIGH_BIT) * 4294967296 + low, high >= HIGH_BIT
end

-- A row and a delta added up. `more` is the merged field of sensors where it is not a set of bits.
local function merged(chunk, more, c2, a2, b2, m2, x2, l2, s2, p2)
  local c, a, b, m, x, l, s, p = unpack_(ROW, chunk)
  c = c + c2
  if c > LARGE then c = LARGE end
  if more then
    x, x2 = x % HIGH_BIT, x2 % HIGH_BIT
    if x2 > x then x = x2 end
    x, s, s2 = x + HIGH_BIT, more, more
  end
  if b2 > b then
    l = l2
  elseif b2 == b and l2 ~= NO_TTL and (l == NO_TTL or l2 > l) then
    l = l2
  end
  if a2 < a then a = a2 end
  if b2 > b then b = b2 end
  if m2 < m then m = m2 end
  if x2 > x then x = x2 end
  if s ~= s2 then s = union(s, s2) end
  if p ~= p2 then p = union(p, p2) end
  return pack(ROW, c, a, b, m, x, l, s, p)
end

-- The sum of what is not kept of one type below a domain, or nil, with a row added that has its count behind it if that is
-- large. `store/layout/unkept.rs` describes its octets.
local function unkept_sum(stored, delta)
  local c2, a2, b2, m2, x2, l2, s2, p2 = unpack_(ROW, delta)
  local is_bound, more_is_bound = false, false
  if c2 == LARGE then c2, more_is_bound = read_count(delta, 33) end
  local sensors, flags2 = numbers_of(x2, s2), floor(p2 / 16777216) % 8
  x2 = x2 % HIGH_BIT
  local c, a, b, m, x, l, flags, list = 0, a2, b2, m2, x2, l2, flags2, {}
  if stored then
    c, is_bound = read_count(stored, 1)
    a, b, m, x, l, flags = unpack_('>I4I4I4I4I4I1', stored, 9)
    list = numbers_of(HIGH_BIT, MANY, sub(stored, 30))
    if b2 > b or b2 == b and l2 ~= NO_TTL and (l == NO_TTL or l2 > l) then l = l2 end
    if a2 < a then a = a2 end
    if b2 > b then b = b2 end
    if m2 < m then m = m2 end
    if x2 > x then x = x2 end
    flags = bor(flags, flags2)
  end
  c = c + c2
  if c > MAX_COUNT then c, is_bound = MAX_COUNT, true end
  local high = floor(c / 4294967296)
  if is_bound or more_is_bound then high = high + HIGH_BIT end
  return pack('>I4I4I4I4I4I4I4I1', high, c % 4294967296, a, b, m, x, l, flags) .. set_of(list, sensors)
end

-- Whether a new name is one too many below its domain on the day of its answer. `i` is its place in ARGV, `last` that of the
-- last one of its kind. `counts` are the new names by day and domain, with those that this call adds.
local function is_unkept(tag, counts, ARGV, i, last)
  local domain = ARGV[i + 4]
  if counts.most == 0 or domain == '' then return false end
  local day, field = floor(unpack_('>I4', ARGV[i + 3], 5) / 86400), sub(domain, 1, 8)
  local of_day = counts.days[day]
  if not of_day then
    of_day = {}
    counts.days[day] = of_day
  end
  if not of_day[field] then
    -- The counts of all that follow, too: one call for each took a fifth of the time.
    local fields = {}
    for j = i, last, 5 do
      local other = ARGV[j + 4]
      local more = other ~= '' and sub(other, 1, 8)
      if more and not of_day[more] and floor(unpack_('>I4', ARGV[j + 3], 5) / 86400) == day then
        of_day[more] = { stored = 0, added = 0 }
        fields[#fields + 1] = more
      end
    end
    reading = tag .. 'y' .. format('%d', day)
    local stored = call('HMGET', reading, unpack(fields))
    for n = 1, #fields do
      local one = of_day[fields[n]]
      one.was, one.stored = stored[n], tonumber(stored[n] or 0) or 0
    end
  end
  local one = of_day[field]
  if one.stored + one.added >= counts.most then return true end
  one.added = one.added + 1
  return false
end

-- Row number of record `rk` in a name's value, or nil; then whether the value does not read.
local function find(value, rk)
  local p, n, last = 7, #rk, #value
  while p <= last do
    local length = byte(value, p + 1)
    if not length then return nil, true end
    if length == 255 then length = 18 end
    local after = p + 6 + length
    if after > last + 1 then return nil, true end
    if sub(value, p, p + n - 1) == rk then return (unpack_('>I4', value, p + n)) end
    p = after
  end
end

-- Whether a name's value holds row `row`; a wide name's rows are in a hash of their own.
local function holds(value, wide_key, row)
  if byte(value, 7) == 255 then
    reading = wide_key
    local rows = call('HVALS', wide_key)
    for i = 1, #rows do
      if #rows[i] == 4 and unpack_('>I4', rows[i]) == row then return true end
    end
    return false
  end
  local p, last = 7, #value
  while p <= last do
    local length = byte(value, p + 1)
    if length == 255 then length = 18 end
    if not length or p + 5 + length > last then return false end
    if unpack_('>I4', value, p + 2 + length) == row then return true end
    p = p + 6 + length
  end
  return false
end

-- Moves a name whose first day became an earlier one; answers its new value.
local function rejuvenate(value, day, days)
  local old = unpack_('>I2', value, 5)
  days[old] = (days[old] or 0) - 1
  days[day] = (days[day] or 0) + 1
  return sub(value, 1, 4) .. pack('>I2', day) .. sub(value, 7)
end

-- Reads all that one kind of a batch (records, or negative answers with the prefix 'n') needs, and refuses what would
-- be written over a hole: 'H' and the key that is damaged, 'E' when a row that is known is not what it was, 'F' and the
-- key that has no room left.
-- ARGV from `at`: packed known rows, row and count of those among them whose count is large, number of unknown ones,
-- then hash, name, rk, delta and domain of each, those of one name together. A delta has the form of a row, with the count
-- behind it if that is large. A domain is the hash of the registrable domain and the length of its text, or nothing for a
-- name that is always kept.
local function prepare(tag, kind, ARGV, at, counts_of_new)
  local fast, large, unknown = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  at = at + 3
  local plan = { kind = kind, fast = fast, at = at, last = at + unknown * 5 - 1, large = {} }
  for i = 1, #large, 12 do plan.large[unpack_('>I4', large, i)] = sub(large, i + 4, i + 11) end
  if #fast == 0 and unknown == 0 then return plan end
  local meta = tag .. kind .. 'm'
  reading = meta
  local M = call('HMGET', meta, 'r', 'b', 'p', 'k', 's', 'n', 'z', 'x')
  -- What the keys of the edition in use begin with.
  local volume = tag .. kind .. (M[8] or '')
  local days_key = volume .. 'd'
  local rows_key, buckets, wide = volume .. 's', volume .. 'b', volume .. 'w'
  local log = volume .. 'l'
  plan.volume = volume
  for i = 1, 7 do
    -- Only the last may be missing.
    M[i] = tonumber(M[i] or (i == 7 and 0) or nil)
    if not M[i] or M[i] < 0 or M[i] % 1 ~= 0 then refuse('H' .. meta) end
  end
  local rows, block, pos, k, split, names = M[1], M[2], M[3], M[4], M[5], M[6]
  local half = 2 ^ k
  if k < 6 or k > 24 or split >= half or pos > LOG or names > rows - M[7] then refuse('H' .. meta) end
  -- Buckets are added by their rule alone, so the number of names says how many there are.
  local buckets_due = math.max(64, math.ceil(names / 8))
  if half + split ~= buckets_due and buckets_due <= 16777216 then refuse('H' .. meta) end
  reading = days_key
  local has_days = call('HLEN', days_key) > 0
  if (names > 0) ~= has_days then refuse('H' .. (names > 0 and days_key or meta)) end

  -- What stands in rows, by number, and names whose first day may become an earlier one.
  local held, older = {}, {}
  -- And what a row has elsewhere, or will have once these are added: a count and a set of sensors, or false where there is
  -- none yet. Rows that are in neither have all themselves.
  local counts, sets = {}, {}
  local function hold(row)
    local chunk = held[row]
    if chunk then
      -- What is added to a row twice is not foreseen below.
      counts[row] = counts[row] or false
    else
      local slot = row % ROWS
      reading = rows_key .. number((row - slot) / ROWS)
      chunk = call('GETRANGE', reading, FROM[slot], TO[slot])
      if #chunk ~= 32 then refuse('H' .. reading) end
      held[row] = chunk
    end
    return chunk
  end

  local function hold_count(row, c)
    reading = volume .. 'q'
    local stored = call('HGET', reading, format('%d', row))
    if c == LARGE and (not stored or #stored ~= 8) then refuse('H' .. reading) end
    counts[row] = stored
  end
  local function hold_set(row, x, s, x2, s2)
    if s == s2 and x >= HIGH_BIT and x2 >= HIGH_BIT then
      sets[row] = sets[row] or false
      return
    end
    reading = volume .. 'g' .. format('%d', floor(row / 64))
    local stored = call('HGET', reading, format('%d', row))
    if x >= HIGH_BIT and s == MANY and (not stored or #stored < 2 or byte(stored) > 1) then refuse('H' .. reading) end
    sets[row] = stored
  end

  for i = 1, #fast, 36 do
    local row, c2, first, _, _, x2, _, s2, place2 = unpack_('>I4I4I4I4I4I4I4I4I4', fast, i)
    local c, was, _, _, x, _, s, place = unpack_(ROW, hold(row))
    if (place - place2) % 16777216 ~= 0 or c == 0 then refuse('E') end
    if c + c2 >= LARGE then hold_count(row, c) end
    if x >= HIGH_BIT or x2 >= HIGH_BIT then hold_set(row, x, s, x2, s2) end
    if first < was and floor(first / 86400) < floor(was / 86400) then
      -- Seldom: an older log came later. The name may now be older than its value says.
      local day = floor(first / 86400)
      local key = buckets .. number(bucket(place % 16777216, half, split))
      reading = key
      local pairs_ = call('HGETALL', key)
      for j = 1, #pairs_, 2 do
        local hash, value = pairs_[j], pairs_[j + 1]
        if #value < 6 then refuse('H' .. key) end
        if day < unpack_('>I2', value, 5) and holds(value, wide .. hex(hash), row) then
          older[#older + 1] = { hash, day, key }
        end
      end
    end
  end

  -- The row of each unknown record, or false; hash, bucket and value of each of their names.
  local found, fresh, added = {}, 0, false
  local hash_of, key_of, value_of = {}, {}, {}
  local end_block, end_pos = block, pos
  local at_hand, low, key, value, over
  local record, name = 0, 0
  local unkept, sum_of = {}, {}
  for i = at, plan.last, 5 do
    local hash, rk = ARGV[i], ARGV[i + 2]
    record = record + 1
    local is_next = hash ~= at_hand
    if is_next then
      over = false
      at_hand, name = hash, name + 1
      local h1, h2, h3 = byte(hash, 6, 8)
      low = h1 * 65536 + h2 * 256 + h3
      key = buckets .. number(bucket(low, half, split))
      reading = key
      value = call('HGET', key, hash)
      if value and #value < 6 then refuse('H' .. key) end
      hash_of[name], key_of[name], value_of[name] = hash, key, value
    end
    local row
    if value then
      if byte(value, 7) == 255 then
        reading = wide .. hex(hash)
        row = call('HGET', reading, rk)
        if row then
          if #row ~= 4 then refuse('H' .. reading) end
          row = unpack_('>I4', row)
        elseif call('EXISTS', reading) == 0 then
          refuse('H' .. reading)
        end
      else
        local garbled
        row, garbled = find(value, rk)
        if garbled then refuse('H' .. key) end
      end
    elseif is_next and is_unkept(tag, counts_of_new, ARGV, i, plan.last) then
      over = true
    elseif is_next then
      local length = #ARGV[i + 1] + 1
      if end_pos + length > LOG then
        end_block, end_pos = end_block + 1, 0
        if end_block > 65535 then refuse('F' .. log .. number(end_block)) end
        if call('EXISTS', log .. number(end_block)) == 1 then refuse('H' .. meta) end
      end
      end_pos = end_pos + length
      added = true
    end
    if over then
      found[record] = UNKEPT
      local domain, rrname = ARGV[i + 4], ARGV[i + 1]
      local domain_hash = sub(domain, 1, 8)
      local field = kind == '' and byte(rk) < 240 and pack('>I2', byte(rk)) or sub(rk, 3, kind == '' and 4 or 6)
      local sum = sum_of[domain_hash .. field]
      if not sum then
        reading = tag .. 'u' .. hex(domain_hash)
        local stored = call('HGET', reading, field)
        if stored and (#stored < 31 or byte(stored, 30) > 1) then refuse('H' .. reading) end
        sum = {
          key = reading, field = field, hash = domain_hash, stored = stored, octets = stored,
          domain = sub(rrname, -unpack_('>I2', domain, 9)), hashes = {}, names = {},
        }
        sum_of[domain_hash .. field] = sum
        unkept[#unkept + 1] = sum
      end
      sum.octets = unkept_sum(sum.octets, ARGV[i + 3])
      sum.hashes[#sum.hashes + 1] = hash
      sum.names[#sum.names + 1] = rrname
    elseif row then
      if row >= rows then refuse('H' .. meta) end
      local c, _, _, _, x, _, s, place = unpack_(ROW, hold(row))
      if place % 16777216 ~= low or c == 0 then refuse('H' .. rows_key .. number(floor(row / ROWS))) end
      local c2, _, _, _, x2, _, s2 = unpack_('>I4I4I4I4I4I4I4', ARGV[i + 3])
      if c + c2 >= LARGE then hold_count(row, c) end
      if x >= HIGH_BIT or x2 >= HIGH_BIT then hold_set(row, x, s, x2, s2) end
      found[record] = row
    else
      found[record] = false
      if #ARGV[i + 3] > 32 then
        reading = volume .. 'q'
        call('HLEN', reading)
      end
      local slot = (rows + fresh) % ROWS
      if slot == 0 then
        if call('EXISTS', rows_key .. number((rows + fresh) / ROWS)) == 1 then refuse('H' .. meta) end
      elseif fresh == 0 then
        reading = rows_key .. number((rows - slot) / ROWS)
        if #call('GETRANGE', reading, TO[ROWS - 1], TO[ROWS - 1]) ~= 1 then refuse('H' .. reading) end
      end
      fresh = fresh + 1
    end
  end
  if rows + fresh > 4294967295 then refuse('F' .. rows_key .. number(floor(rows / ROWS))) end
  if added and pos > 0 then
    reading = log .. number(block)
    if #call('GETRANGE', reading, LOG_END, LOG_END) ~= 1 then refuse('H' .. reading) end
  elseif added and call('EXISTS', log .. number(block)) == 1 then
    refuse('H' .. meta)
  end
  plan.rows, plan.block, plan.pos = rows, block, pos
  plan.k, plan.split, plan.names = k, split, names
  plan.meta = { r = rows, b = block, p = pos, k = k, s = split, n = names }
  plan.held, plan.older, plan.found = held, older, found
  plan.hash_of, plan.key_of, plan.value_of = hash_of, key_of, value_of
  plan.counts, plan.sets, plan.unkept = counts, sets, unkept
  return plan
end

-- Applies what `prepare` read. Appends to `out` (flag and row of each unknown) and `redo`. Leaves in the plan what
-- `roll_back` needs: rows as they were, how many names are written, buckets that were split, and what undoes the rest.
local function apply(tag, plan, ARGV, out, redo)
  if not plan.held then return end
  local kind, fast = plan.kind, plan.fast
  local rows, block, pos, k, split, names =
    plan.rows, plan.block, plan.pos, plan.k, plan.split, plan.names
  local held, found, key_of, value_of = plan.held, plan.found, plan.key_of, plan.value_of
  local was, undo, splits = {}, {}, {}
  plan.was, plan.undo, plan.splits = was, undo, splits
  local half = 2 ^ k
  local volume = plan.volume
  local rows_key, buckets, wide = volume .. 's', volume .. 'b', volume .. 'w'
  local log = volume .. 'l'
  local days, lines, bytes = {}, {}, 0

  local counts, sets = plan.counts, plan.sets
  local function put(kept, key, row, octets)
    local field = format('%d', row)
    call('HSET', key, field, octets)
    undo[#undo + 1] = kept[row] and { 'HSET', key, field, kept[row] } or { 'HDEL', key, field }
    kept[row] = octets
  end

  -- Adds to a count that is large, or becomes so. `large` are the octets of what is added, if that is large itself.
  local function put_count(row, c, c2, large)
    local is_bound, more_is_bound = false, false
    if c == LARGE then c, is_bound = read_count(counts[row], 1) end
    if c2 == LARGE then c2, more_is_bound = read_count(large, 1) end
    c = c + c2
    if c > MAX_COUNT then c, is_bound = MAX_COUNT, true end
    local high = floor(c / 4294967296)
    if is_bound or more_is_bound then high = high + HIGH_BIT end
    put(counts, volume .. 'q', row, pack('>I4I4', high, c % 4294967296))
  end

  -- The merged field of sensors of which one is beyond the bits of a row; writes their set.
  local function put_set(row, x, s, x2, s2)
    local list, more = numbers_of(x, s, sets[row]), numbers_of(x2, s2)
    if has_all(list, more) and x >= HIGH_BIT then return s end
    put(sets, volume .. 'g' .. format('%d', floor(row / 64)), row, set_of(list, more))
    return MANY
  end

  local rows_written = 0
  local function add(row, large, c2, a2, b2, m2, x2, l2, s2, p2)
    local slot, chunk, more = row % ROWS, held[row], nil
    if counts[row] ~= nil or sets[row] ~= nil then
      local c, _, _, _, x, _, s = unpack_('>I4I4I4I4I4I4I4', chunk)
      if c + c2 >= LARGE then put_count(row, c, c2, large) end
      if x >= HIGH_BIT or x2 >= HIGH_BIT then
        more = (x >= HIGH_BIT and x2 >= HIGH_BIT and s == s2) and s or put_set(row, x, s, x2, s2)
      end
    end
    chunk = merged(chunk, more, c2, a2, b2, m2, x2, l2, s2, p2)
    was[rows_written + 1], was[rows_written + 2] = row, held[row]
    rows_written = rows_written + 2
    call('SETRANGE', rows_key .. number((row - slot) / ROWS), FROM[slot], chunk)
    held[row] = chunk
  end

  for i = 1, #fast, 36 do
    local row, c, a, b, m, x, l, s, p = unpack_('>I4I4I4I4I4I4I4I4I4', fast, i)
    add(row, plan.large[row], c, a, b, m, x, l, s, p)
  end
  -- Names by hash that are older now; seldom any.
  local older
  for i = 1, #plan.older do
    local hash, day, key = unpack(plan.older[i])
    older = older or {}
    local value = older[hash] or call('HGET', key, hash)
    if day < unpack_('>I2', value, 5) then
      undo[#undo + 1] = { 'HSET', key, hash, value }
      value = rejuvenate(value, day, days)
      call('HSET', key, hash, value)
      older[hash] = value
    end
  end

  local function write_log()
    if bytes == 0 then return end
    -- APPEND would keep spare room: a block is made in its full size at once.
    -- A block of a call that failed must go again: the next attempt takes one that is there for a hole.
    if pos == 0 then
      undo[#undo + 1] = { 'DEL', log .. number(block) }
      call('SETRANGE', log .. number(block), LOG - 1, '\0')
    end
    call('SETRANGE', log .. number(block), pos, concat(lines))
    pos = pos + bytes
    lines, bytes = {}, 0
  end

  -- New rows follow each other: those of a block are written together.
  local fresh, first, grown = {}, rows, rows
  local function write_rows()
    if rows == first then return end
    local slot = first % ROWS
    local chunk = rows_key .. number((first - slot) / ROWS)
    if slot == 0 then
      undo[#undo + 1] = { 'DEL', chunk }
      call('SETRANGE', chunk, ROWS * 32 - 1, '\0')
    end
    call('SETRANGE', chunk, FROM[slot], concat(fresh))
    fresh, first = {}, rows
  end

  local told, undone, logged, added = #out, redo and #redo, 0, 0
  -- The name at hand: read once, written once.
  local at_hand, key, value, changed
  local record, nth = 0, 0
  local function write_name()
    if not changed then return end
    plan.names_written = nth
    call('HSET', key, at_hand, value)
  end
  for i = plan.at, plan.last, 5 do
    local hash, rk, delta = ARGV[i], ARGV[i + 2], ARGV[i + 3]
    local day = floor(unpack_('>I4', delta, 5) / 86400)
    record = record + 1
    local row = found[record]
    if hash ~= at_hand then
      write_name()
      nth = nth + 1
      at_hand, changed, key, value = hash, false, key_of[nth], value_of[nth]
      if older and older[hash] then value = older[hash] end
    end
    if value and day < unpack_('>I2', value, 5) then
      value = rejuvenate(value, day, days)
      changed = true
    end
    told = told + 2
    if row == UNKEPT then
      out[told - 1], out[told] = '3', '\0\0\0\0'
    elseif row then
      add(row, sub(delta, 33), unpack_(ROW, delta))
      out[told - 1], out[told] = '0', pack('>I4', row)
    else
      local packed = pack('>I4', rows)
      rows = rows + 1
      added = added + 1
      if #delta > 32 then
        put(counts, volume .. 'q', rows - 1, sub(delta, 33))
        delta = sub(delta, 1, 32)
      end
      fresh[added] = delta
      if rows % ROWS == 0 then
        write_rows()
        added = 0
      end
      if redo then
        undone = undone + 2
        redo[undone - 1], redo[undone] = rk, sub(delta, 29, 32)
      end
      if not value then
        local name = ARGV[i + 1]
        local length = #name + 1
        if pos + bytes + length > LOG then
          write_log()
          block = block + 1
          pos, logged = 0, 0
        end
        value = pack('>I4I2', block * 65536 + pos + bytes, day) .. rk .. packed
        changed = true
        logged = logged + 2
        lines[logged - 1], lines[logged] = name, '\n'
        bytes = bytes + length
        names = names + 1
        days[day] = (days[day] or 0) + 1
        out[told - 1], out[told] = '2', packed
      elseif byte(value, 7) == 255 then
        call('HSET', wide .. hex(hash), rk, packed)
        undo[#undo + 1] = { 'HDEL', wide .. hex(hash), rk }
        out[told - 1], out[told] = '1', packed
      else
        value = value .. rk .. packed
        changed = true
        local target = #value > 2048 and wide .. hex(hash)
        if target and call('EXISTS', target) == 0 then
          local q, last = 7, #value
          while q <= last do
            local size = byte(value, q + 1)
            if size == 255 then size = 18 end
            local field = sub(value, q, q + 1 + size)
            call('HSET', target, field, sub(value, q + 2 + size, q + 5 + size))
            undo[#undo + 1] = { 'HDEL', target, field }
            q = q + 6 + size
          end
          value = sub(value, 1, 6) .. '\255'
        end
        out[told - 1], out[told] = '1', packed
      end
    end
  end
  write_name()
  write_rows()
  write_log()

  -- Linear hashing: at most 8 names a bucket on average. Twice as many would spare 4 octets a record, and cost those
  -- who ask for an address a quarter of their time: they read whole buckets. A call adds few names, so it splits few
  -- buckets. What is of another type than a bucket ends it: nothing here may fail once rows are written.
  local looked = 0
  while names > 8 * (half + split) and looked < 64 do
    local old, new = buckets .. number(split), buckets .. number(split + half)
    local pairs_ = redis.pcall('HGETALL', old)
    if pairs_.err then break end
    local moved, gone = {}, {}
    for j = 1, #pairs_, 2 do
      local h1, h2, h3 = byte(pairs_[j], 6, 8)
      if h3 and (h1 * 65536 + h2 * 256 + h3) % (half * 2) ~= split then
        moved[#moved + 1] = pairs_[j]
        moved[#moved + 1] = pairs_[j + 1]
        gone[#gone + 1] = pairs_[j]
      end
    end
    if #gone > 0 then
      local set = redis.pcall('HSET', new, unpack(moved))
      if type(set) == 'table' then break end
      splits[#splits + 1] = { old, new, moved, gone }
      call('HDEL', old, unpack(gone))
    end
    split = split + 1
    if split == half then
      k, half, split = k + 1, half * 2, 0
    end
    looked = looked + 1
  end

  if rows ~= grown or looked > 0 then
    local meta = tag .. kind .. 'm'
    call('HSET', meta, 'r', rows, 'b', block, 'p', pos, 'k', k, 's', split, 'n', names)
    for field, number_ in pairs(plan.meta) do undo[#undo + 1] = { 'HSET', meta, field, format('%d', number_) } end
  end
  for day, change in pairs(days) do
    -- A count that is no number fails; `pdns admin verify` finds it.
    local key = volume .. 'd'
    local left = change ~= 0 and redis.pcall('HINCRBY', key, day, change)
    if type(left) == 'number' then
      undo[#undo + 1] = { 'HINCRBY', key, day, format('%d', -change) }
      if left == 0 then call('HDEL', key, day) end
    end
  end
end

-- Enters names into the registers of an estimate of how many there are (`store/layout/unkept.rs`).
local function estimate(key, hashes)
  local registers = redis.pcall('GETRANGE', key, '0', '-1')
  if type(registers) ~= 'string' then return end
  if #registers ~= REGISTERS then
    registers = string.rep('\0', REGISTERS)
    redis.pcall('SETRANGE', key, REGISTERS - 1, '\0')
  end
  local written = {}
  for i = 1, #hashes do
    local h4, h5, h6, h7, h8 = byte(hashes[i], 4, 8)
    local at, rest, rank, bit_ = (h4 * 256 + h5) % REGISTERS, h6 * 65536 + h7 * 256 + h8, 1, 8388608
    while rank <= 24 and rest < bit_ do
      rank, bit_ = rank + 1, bit_ / 2
    end
    if rank > (written[at] or byte(registers, at + 1)) then
      written[at] = rank
      redis.pcall('SETRANGE', key, at, string.char(rank))
    end
  end
end

-- Keeps the names with the least hashes as a sample, whatever the order in which they come.
local function sample(key, hashes, names)
  local stored = redis.pcall('HGETALL', key)
  if stored.err then return end
  local kept, is_kept = {}, {}
  for i = 1, #stored, 2 do
    kept[#kept + 1] = stored[i]
    is_kept[stored[i]] = true
  end
  table.sort(kept)
  for i = 1, #hashes do
    local hash = hashes[i]
    if not is_kept[hash] and (#kept < SAMPLE or hash < kept[#kept]) then
      redis.pcall('HSET', key, hash, names[i])
      is_kept[hash] = true
      kept[#kept + 1] = hash
      table.sort(kept)
      if #kept > SAMPLE then
        is_kept[kept[#kept]] = nil
        redis.pcall('HDEL', key, kept[#kept])
        kept[#kept] = nil
      end
    end
  end
end

-- Adds what is not kept of a plan to the sums of its domains. The number of names and the sample are estimates, written last
-- and without being taken back: what damages them must stop nothing.
local function apply_unkept(tag, plan)
  local sums, undo = plan.unkept or {}, plan.undo
  for i = 1, #sums do
    local sum = sums[i]
    call('HSET', sum.key, sum.field, sum.octets)
    undo[#undo + 1] = sum.stored and { 'HSET', sum.key, sum.field, sum.stored } or { 'HDEL', sum.key, sum.field }
  end
  for i = 1, #sums do
    local sum = sums[i]
    local domain = hex(sum.hash)
    redis.pcall('HSET', tag .. 'u', sum.domain, '1')
    estimate(tag .. 'uh' .. domain .. hex(sum.field), sum.hashes)
    sample(tag .. 'us' .. domain, sum.hashes, sum.names)
  end
end

-- Notes a day whose new names are counted. Only so many are, those that were begun last: the counts of an earlier one go.
local function begin_day(tag, day)
  local days = redis.pcall('HGETALL', tag .. 'y')
  if days.err then return end
  local first, last = nil, 0
  for i = 1, #days, 2 do
    local turn = tonumber(days[i + 1]) or 0
    if turn > last then last = turn end
    if not first or turn < first.turn then first = { day = days[i], turn = turn } end
  end
  redis.pcall('HSET', tag .. 'y', day, format('%d', last + 1))
  if #days / 2 < DAYS or not first or first.day == day then return end
  local key = tag .. 'y' .. first.day
  local counts, gone = redis.pcall('HGETALL', key), {}
  for i = 1, counts.err and 0 or #counts, 2 do
    gone[#gone + 1] = counts[i]
    if #gone == 1000 or i + 2 > #counts then
      redis.pcall('HDEL', key, unpack(gone))
      gone = {}
    end
  end
  redis.pcall('HDEL', tag .. 'y', first.day)
end

-- Counts the new names of a call.
local function count_new(tag, counts, undo)
  for day, of_day in pairs(counts.days) do
    local text = format('%d', day)
    local key = tag .. 'y' .. text
    local set, back, gone = { 'HSET', key }, { 'HSET', key }, { 'HDEL', key }
    for field, one in pairs(of_day) do
      if one.added > 0 then
        local n = #set
        set[n + 1], set[n + 2] = field, format('%d', one.stored + one.added)
        if one.was then
          n = #back
          back[n + 1], back[n + 2] = field, one.was
        else
          gone[#gone + 1] = field
        end
      end
    end
    if #set > 2 then
      if redis.pcall('EXISTS', key) == 0 then begin_day(tag, text) end
      call(unpack(set))
      if #back > 2 then undo[#undo + 1] = back end
      if #gone > 2 then undo[#undo + 1] = gone end
    end
  end
end

-- Takes back what `apply` wrote of a plan, the last first.
local function roll_back(tag, plan)
  if not plan.was then return end
  for i = #plan.splits, 1, -1 do
    local old, new, moved, gone = unpack(plan.splits[i])
    redis.pcall('HSET', old, unpack(moved))
    redis.pcall('HDEL', new, unpack(gone))
  end
  for i = plan.names_written or 0, 1, -1 do
    local key, hash, value = plan.key_of[i], plan.hash_of[i], plan.value_of[i]
    if value then redis.pcall('HSET', key, hash, value) else redis.pcall('HDEL', key, hash) end
  end
  -- What stands in here is of other keys than the rest, or of a name that has just got back what it was before.
  for i = #plan.undo, 1, -1 do
    local one = plan.undo[i]
    if redis.pcall(unpack(one)) == 0 and one[1] == 'HINCRBY' then redis.pcall('HDEL', one[2], one[3]) end
  end
  local rows_key = plan.volume .. 's'
  for i = #plan.was - 1, 1, -2 do
    local row, chunk = plan.was[i], plan.was[i + 1]
    local slot = row % ROWS
    redis.pcall('SETRANGE', rows_key .. number((row - slot) / ROWS), FROM[slot], chunk)
  end
end

-- Everything that has to hold before a batch is applied: answers why it is not, or nothing and what to apply.
local function check(tag, ARGV)
  local source = ARGV[1]
  reading = tag .. 'c'
  local stored = call('HGET', reading, source)
  local mark = stored and sub(stored, 1, 20) or ''
  if mark == ARGV[3] then return 'D' end
  if mark ~= ARGV[2] then return 'C' .. mark end
  if call('EXISTS', tag .. 'v') == 1 then return 'M' end
  reading = tag .. 'm'
  local meta = call('HMGET', reading, 'e', 'r', 'x')
  local epoch, rows, edition = meta[1], tonumber(meta[2] or nil), meta[3] or ''
  if not epoch or not rows then return 'H' .. reading end
  if epoch .. edition ~= ARGV[4] then return (sub(ARGV[4], 1, #epoch) == epoch and 'N' or 'E') .. epoch end
  if tonumber(ARGV[5]) >= rows then return 'E' .. epoch end
  local known_negative = tonumber(ARGV[6])
  if known_negative >= 0 then
    reading = tag .. 'nm'
    rows = tonumber(call('HGET', reading, 'r') or nil)
    if not rows then return 'H' .. reading end
    if known_negative >= rows then return 'E' .. epoch end
  end
  local counts = { most = tonumber(ARGV[7]), days = {} }
  local records = prepare(tag, '', ARGV, 8, counts)
  local negatives = prepare(tag, 'n', ARGV, records.last + 1, counts)
  if negatives.last < #ARGV then
    reading = tag .. edition .. 't'
    call('HLEN', reading)
  end
  return nil, { records = records, negatives = negatives, counts = counts, long = tag .. edition .. 't' }
end

-- One batch of one source for one partition.
-- KEYS[1]: the partition's tag. ARGV: source, checkpoint expected, checkpoint to write, the store's epoch with the edition
-- of the partition (nothing for the first) behind it, highest known row of records and of negative answers (-1: none), how
-- many new names a domain may have on one day (0: any number), then the two kinds as `prepare` takes them, then pairs of
-- digest and bytes of long RDATA.
-- Answers 'D' done before, 'C' and the stored checkpoint: somebody else moved it, 'E' and the stored epoch:
-- the rows known are not those of this store, 'N' they are those of another edition, 'M' the partition is being repaired, 'H' and a key that is damaged, 'F' and
-- a key that would pass its limit; else 'A', and flag and row of each unknown record:
-- '0' known, '1' new record, '2' new name, '3' not kept: only counted below its domain.
local function upsert(KEYS, ARGV)
  if not unpack_ then init() end
  local tag = KEYS[1]
  local ok, refusal, plans = pcall(check, tag, ARGV)
  if not ok then return refusal_of(refusal) end
  if refusal then return refusal end
  local out, redo = { 'A' }, { ARGV[3] }
  local done, failure = pcall(function()
    apply(tag, plans.records, ARGV, out, redo)
    apply(tag, plans.negatives, ARGV, out, nil)
    count_new(tag, plans.counts, plans.negatives.undo or plans.records.undo)
    for i = plans.negatives.last + 1, #ARGV, 2 do
      call('HSET', plans.long, ARGV[i], ARGV[i + 1])
    end
    apply_unkept(tag, plans.records)
    apply_unkept(tag, plans.negatives)
    call('HSET', tag .. 'c', ARGV[1], concat(redo))
  end)
  if not done then
    roll_back(tag, plans.negatives)
    roll_back(tag, plans.records)
    return failed(failure)
  end
  return concat(out)
end

-- Marks a partition as one of the store and writes where its parts end, so that a partition that lost everything is
-- never mistaken for an empty one. A kind that has keys and no such numbers has lost them: it is left as it is.
-- KEYS[1]: the partition's tag. ARGV: the store's epoch and identity.
local function mark(KEYS, ARGV)
  if not unpack_ then init() end
  local tag = KEYS[1]
  local is_empty = true
  for _, kind in ipairs({ 'n', '' }) do
    local meta = tag .. kind .. 'm'
    -- Both kinds are of the same edition.
    local edition = call('HGET', meta, 'x') or call('HGET', tag .. 'm', 'x') or call('HGET', tag .. 'nm', 'x') or ''
    local volume = tag .. kind .. edition
    local keys = { volume .. 's0', volume .. 'l0', volume .. 'd' }
    for i = 0, 63 do keys[#keys + 1] = volume .. 'b' .. i end
    local has_rows = call('HGET', meta, 'r') ~= false
    local has_keys = call('EXISTS', unpack(keys)) > 0
    if has_rows or has_keys then is_empty = false end
    if kind == '' and is_empty and call('EXISTS', tag .. 'c', tag .. edition .. 't') > 0 then is_empty = false end
    local marks = call('HMGET', tag .. 'm', 'e', 'i')
    if not has_rows and not has_keys and (is_empty or marks[1]) then
      call('HSET', meta, 'r', 0, 'b', 0, 'p', 0, 'k', 6, 's', 0, 'n', 0)
      if edition ~= '' then call('HSET', meta, 'x', edition) end
    end
    if kind == '' then
      if is_empty and not marks[1] then call('HSET', meta, 'e', ARGV[1]) end
      if is_empty or marks[1] then call('HSET', meta, 'i', marks[2] or ARGV[2], 'a', 1) end
    end
  end
  return 1
end

-- Forgets what has to be done again of a source's last batch, now that it is done.
-- KEYS[1]: the partition's tag. ARGV: source, its checkpoint.
local function settle(KEYS, ARGV)
  if not unpack_ then init() end
  local stored = call('HGET', KEYS[1] .. 'c', ARGV[1])
  if stored and #stored > 20 and sub(stored, 1, 20) == ARGV[2] then
    call('HSET', KEYS[1] .. 'c', ARGV[1], ARGV[2])
    return 1
  end
  return 0
end

-- Deletes checkpoints that say no more than the acknowledged positions, which are kept elsewhere.
-- KEYS[1]: the partition's tag. ARGV: pairs of source and acknowledged position. A checkpoint beyond that,
-- half-way, or with something to be done again stays. Answers how many were deleted.
local function forget(KEYS, ARGV)
  if not unpack_ then init() end
  local key, deleted = KEYS[1] .. 'c', 0
  for i = 1, #ARGV, 2 do
    local stored = call('HGET', key, ARGV[i])
    if stored and #stored == 20 then
      local done, _, slices, applied = unpack_('>I8I8I2I2', stored)
      if done <= tonumber(ARGV[i + 1]) and applied >= slices then
        deleted = deleted + call('HDEL', key, ARGV[i])
      end
    end
  end
  return deleted
end

-- Moves up to 512 members of a posting set to its children: child = floor(member / divisor) mod ways.
-- KEYS[1]: the set. ARGV: divisor, ways, format of a child's suffix. Answers how many members are left,
-- the mark -1 not counted.
local function spread(KEYS, ARGV)
  if not unpack_ then init() end
  local key, divisor, ways, suffix = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
  local children = {}
  local members = call('SPOP', key, 512)
  for i = 1, #members do
    local member = tonumber(members[i])
    -- What is no number was entered by nobody of ours.
    if member and member >= 0 then
      local child = format(suffix, floor(member / divisor) % ways)
      local list = children[child] or {}
      list[#list + 1] = members[i]
      children[child] = list
    end
  end
  for child, list in pairs(children) do call('SADD', key .. child, unpack(list)) end
  call('SADD', key, '-1')
  return call('SCARD', key) - 1
end

-- All that these functions run, with as many words as each needs behind its key.
local COMMANDS = {
  getrange = { '0', '0' }, setrange = { '0', '' }, exists = {},
  hget = { 'f' }, hmget = { 'f' }, hgetall = {}, hvals = {}, hlen = {},
  hset = { 'f', 'v' }, hdel = { 'f' }, hincrby = { 'f', '1' },
  sadd = { '1' }, spop = {}, scard = {},
}

-- And what `mend` runs.
local MENDING = {
  get = {}, pexpire = { '1' }, del = {}, setrange = { '0', '' }, hset = { 'f', 'v' }, hdel = { 'f' },
}

-- Creates the schema unless there is one. KEYS[1]: its key. ARGV: fields and values. Answers all of it.
local function create(KEYS, ARGV)
  if not unpack_ then init() end
  local refusal = refused(KEYS[1], COMMANDS)
  if refusal then return refusal end
  if call('EXISTS', KEYS[1]) == 0 then call('HSET', KEYS[1], unpack(ARGV)) end
  return call('HGETALL', KEYS[1])
end

-- Changes keys of a partition that is held for repair, and holds it for longer.
-- KEYS[1]: the partition's tag. ARGV: the token that it is held with, for how many milliseconds more (0: no longer),
-- then for each change: the command, how many words follow, the end of the key, and the other words.
-- Answers 1, or 0 and changes nothing when it is not held with this token.
local function mend(KEYS, ARGV)
  if not unpack_ then init() end
  local refusal = refused(KEYS[1], MENDING)
  if refusal then return refusal end
  local tag = KEYS[1]
  if call('GET', tag .. 'v') ~= ARGV[1] then return 0 end
  local i = 3
  while i <= #ARGV do
    local count = tonumber(ARGV[i + 1])
    call(ARGV[i], tag .. ARGV[i + 2], unpack(ARGV, i + 3, i + 1 + count))
    i = i + 2 + count
  end
  if ARGV[2] == '0' then call('DEL', tag .. 'v') else call('PEXPIRE', tag .. 'v', ARGV[2]) end
  return 1
end

-- The number of a sensor. KEYS[1]: the hash of sensors. ARGV: its name. Answers -1 if there are too many.
local function sensor(KEYS, ARGV)
  if not unpack_ then init() end
  local refusal = refused(KEYS[1], COMMANDS)
  if refusal then return refusal end
  local number_ = call('HGET', KEYS[1], ARGV[1])
  if not number_ then
    -- One more than the highest: an entry that was lost leaves its number to nobody else.
    number_ = 0
    local numbers = call('HVALS', KEYS[1])
    for i = 1, #numbers do number_ = math.max(number_, (tonumber(numbers[i]) or 0) + 1) end
    if number_ > 65535 then return -1 end
    call('HSET', KEYS[1], ARGV[1], number_)
  end
  return tonumber(number_)
end

redis.register_function('pdns_upsert_DIGEST', upsert)
redis.register_function('pdns_mark_DIGEST', mark)
redis.register_function('pdns_mend_DIGEST', mend)
redis.register_function('pdns_settle_DIGEST', settle)
redis.register_function('pdns_forget_DIGEST', forget)
redis.register_function('pdns_spread_DIGEST', spread)
redis.register_function('pdns_create_DIGEST', create)
redis.register_function('pdns_sensor_DIGEST', sensor)
