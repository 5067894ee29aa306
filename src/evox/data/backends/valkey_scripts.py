"""Valkey scripts: each operation is one script, so that it happens at once, with its version and its message.

    evox:v          counter of versions        evox:e:<key>    hash: value v, version n, expiry x, copy c, tags t
    evox:g:<name>   version of a guard         evox:t:<tag>    set of the keys under a tag
    evox:schema     version of this layout
    evox:c          channel of changes: "<version> k <key>" and "<version> g <guard>"

A key that is deleted or expires keeps its version for a while, so that a load that began before cannot bring it back.
When the server may forget an entry is worked out by whoever calls: what is no time for a server fails in the middle of
a script, and what that has done by then stays.
"""

from typing import Final

__all__ = ["CHANNEL", "SCHEMA", "SCRIPTS"]

SCHEMA: Final = 1
CHANNEL: Final = "evox:c"
_COMMON: Final = """
local P = 'evox:'
local function moved() return redis.call('INCR', P .. 'v') end
local function freeing()
  redis.call('DEL', P .. '-')  -- a full server lets only what frees memory begin, and then the rest of its script pass
  return moved()
end
local function tell(n, kind, name) redis.call('PUBLISH', P .. 'c', n .. ' ' .. kind .. ' ' .. name) end
local function untag(key)
  local old = redis.call('HGET', P .. 'e:' .. key, 't')
  if old then for tag in string.gmatch(old, '[^\\n]+') do redis.call('SREM', P .. 't:' .. tag, key) end end
end
local function live(key, now)
  local held = redis.call('HMGET', P .. 'e:' .. key, 'v', 'x', 'c')
  return held[1] and (held[2] == '' or tonumber(held[2]) > tonumber(now)), held[3] == '1', held[1]
end
local function clear(key, n)
  untag(key)
  redis.call('DEL', P .. 'e:' .. key)
  redis.call('HSET', P .. 'e:' .. key, 'n', n)
  redis.call('PEXPIRE', P .. 'e:' .. key, 3600000)
  tell(n, 'k', key)
end
local function put(key, value, expires, copy, tags, gone)
  local n, at = moved(), P .. 'e:' .. key
  untag(key)
  redis.call('HSET', at, 'v', value, 'n', n, 'x', expires, 'c', copy, 't', tags)
  if gone == '' then redis.call('PERSIST', at) else redis.call('PEXPIREAT', at, gone) end
  for tag in string.gmatch(tags, '[^\\n]+') do
    local set = P .. 't:' .. tag
    local new = redis.call('EXISTS', set) == 0
    redis.call('SADD', set, key)
    if gone == '' then redis.call('PERSIST', set)
    elseif new then redis.call('PEXPIREAT', set, gone)
    elseif redis.call('PTTL', set) >= 0 then redis.call('PEXPIREAT', set, gone, 'GT') end
  end
  tell(n, 'k', key)
  return n
end
"""

SCRIPTS: Final = {
    "get": """
local held = redis.call('HMGET', P .. 'e:' .. ARGV[1], 'v', 'n', 'x', 'c', 't')
local found = {held[1] or false, held[2] or '0', held[3] or '', held[4] or '', held[5] or ''}
for i = 2, #ARGV do found[4 + i] = redis.call('GET', P .. 'g:' .. ARGV[i]) or '0' end
return found
""",
    "put": "return put(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])",
    "fill": """
if (redis.call('HGET', P .. 'e:' .. ARGV[1], 'n') or '0') ~= ARGV[7] then return 0 end
for i = 8, #ARGV, 2 do
  if (redis.call('GET', P .. 'g:' .. ARGV[i]) or '0') ~= ARGV[i + 1] then return 0 end
end
return put(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
""",
    "delete": """
local is_live = live(ARGV[1], ARGV[2])
local n = freeing()
clear(ARGV[1], n)
return {n, is_live and 1 or 0}
""",
    "invalidate": """
local is_live, is_copy, value = live(ARGV[1], ARGV[2])
if value and not is_copy then return {tonumber(redis.call('GET', P .. 'v') or '0'), 0} end
local n = freeing()
clear(ARGV[1], n)
return {n, is_live and 1 or 0}
""",
    "move": """
local n = freeing()
redis.call('SET', P .. 'g:' .. ARGV[1], n)
tell(n, 'g', ARGV[1])
return n
""",
    "clear": """
local count = 0
for i = 3, #ARGV do
  local key = ARGV[i]
  local is_live, is_copy, value = live(key, ARGV[2])
  local n = tonumber(redis.call('HGET', P .. 'e:' .. key, 'n') or '0')
  if value and is_copy and n < tonumber(ARGV[1]) then
    clear(key, ARGV[1])
    if is_live then count = count + 1 end
  end
end
return count
""",
    "count": """
local count = 0
for i = 2, #ARGV do
  local is_live, is_copy = live(ARGV[i], ARGV[1])
  if is_live and is_copy then count = count + 1 end
end
return count
""",
    "count tags": """
local count, seen = 0, {}
for i = 2, #ARGV do
  for _, key in ipairs(redis.call('SMEMBERS', P .. 't:' .. ARGV[i])) do
    local is_live, is_copy = live(key, ARGV[1])
    if is_live and is_copy and not seen[key] then count = count + 1 end
    seen[key] = true
  end
end
return count
""",
    "tags": """
local count, n = 0, tonumber(redis.call('GET', P .. 'v') or '0')
for i = 2, #ARGV do
  n = freeing()
  redis.call('SET', P .. 'g:' .. ARGV[i], n)
  tell(n, 'g', ARGV[i])
  for _, key in ipairs(redis.call('SMEMBERS', P .. 't:' .. ARGV[i])) do
    local is_live, is_copy, value = live(key, ARGV[1])
    if value and is_copy then
      clear(key, n)
      if is_live then count = count + 1 end
    end
  end
end
return {n, count}
""",
}
# A server that was made a replica goes on to answer, with what it had. It refuses to write: this write, which changes
# nothing, asks it whether it may. What only keeps a primary from writing is not in the way of reading.
SCRIPTS["strong get"] = """
local refused = redis.pcall('DEL', P .. '-')
refused = type(refused) == 'table' and refused.err
if refused and not string.find(refused, 'NOREPLICAS') and not string.find(refused, 'MISCONF') then
  return redis.error_reply(refused)
end
""" + SCRIPTS["get"]
SCRIPTS.update({name: _COMMON + text for name, text in SCRIPTS.items()})
