// What has to be decided inside Redis, as between a look and a write others would write. Each script is one atomic step.
import { redisScript } from '../redis/redis-link.ts';
import { LUA_PLACES } from './packed-score.ts';

const { layout, least, scoredAt, featuresAsOf, keptUntil } = LUA_PLACES;

/** Lua that every script begins with. MGET and not GET: keys of another type are then as if they weren't there. */
const COMMON = `
local function value(key) return redis.call('MGET', key)[1] end
local function double(bytes, at) return (struct.unpack('<d', bytes, at)) end
local function is_score(bytes)
  return bytes and #bytes >= ${least} and string.sub(bytes, 1, 1) == ${layout}
end
local function floors(key)
  local bytes = value(key)
  if bytes and #bytes == 16 then return double(bytes, 1), double(bytes, 9) end
  return -math.huge, -math.huge
end
`;

/** By the characters that PUT answers with. */
export const PUT_OUTCOMES = { s: 'stored', o: 'outdated', i: 'invalidated' } as const;

/**
 * Conditional puts of entries of one scope. The scope is noted in the step that puts into it: whoever finds an entry finds
 * its scope.
 * KEYS: scopes, floors, then a tombstone and an entry a put. ARGV: the scope as a member, until when the last of these
 * entries is kept, now, then the packed score and the milliseconds that it is kept a put.
 * Returns what became of each, one character a put: of PUT_OUTCOMES.
 */
export const PUT = redisScript(`${COMMON}
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
local features_floor, scored_floor = floors(KEYS[2])
local now = tonumber(ARGV[3])
local values = redis.call('MGET', unpack(KEYS, 3))
local written = {}
local outcomes = {}
for put = 1, (#ARGV - 3) / 2 do
  local coming, keep = ARGV[2 + 2 * put], ARGV[3 + 2 * put]
  local key = KEYS[2 + 2 * put]
  local features, scored = double(coming, ${featuresAsOf}), double(coming, ${scoredAt})
  local tombstone = values[2 * put - 1]
  local there = written[key] or values[2 * put]
  if features <= features_floor or scored < scored_floor
    or (tombstone and #tombstone == 8 and features <= double(tombstone, 1)) then
    outcomes[put] = 'i'
  else
    local stays = false
    if is_score(there) and double(there, ${keptUntil}) > now then
      local f, s = double(there, ${featuresAsOf}), double(there, ${scoredAt})
      -- What was invalidated is in nobody's way.
      stays = f > features_floor and s >= scored_floor and (f > features or (f == features and s > scored))
    end
    if stays then
      outcomes[put] = 'o'
    else
      redis.call('SET', key, coming, 'PX', keep)
      written[key] = coming
      outcomes[put] = 's'
    end
  end
end
return table.concat(outcomes)
`);

/**
 * A Redis that is full takes no more writes from a script, unless that has removed something: an invalidation must not be
 * refused, as it makes room.
 */
const EVEN_WHERE_FULL = (key: string) => `redis.call('DEL', ${key})`;

/** Raises tombstones. KEYS: tombstones. ARGV: the time as a double, the milliseconds that they are kept. */
export const BURY = redisScript(`${COMMON}
local at = double(ARGV[1], 1)
for _, key in ipairs(KEYS) do
  local there = value(key)
  if not (there and #there == 8 and double(there, 1) >= at) then
    ${EVEN_WHERE_FULL('key')}
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
  end
end
return #KEYS
`);

/**
 * Deletes entries computed from features read until then, and what is no entry. KEYS: floors, then entries. ARGV: the time as
 * a double, now. Returns how many were there that counted.
 */
export const REMOVE = redisScript(`${COMMON}
local features_floor, scored_floor = floors(KEYS[1])
local at, now = double(ARGV[1], 1), tonumber(ARGV[2])
local values = redis.call('MGET', unpack(KEYS))
local gone = 0
for i = 2, #KEYS do
  local there = values[i]
  if not is_score(there) then
    if there then redis.call('DEL', KEYS[i]) end
  else
    local features, scored = double(there, ${featuresAsOf}), double(there, ${scoredAt})
    if features <= at then
      redis.call('DEL', KEYS[i])
      if features > features_floor and scored >= scored_floor and double(there, ${keptUntil}) > now then
        gone = gone + 1
      end
    end
  end
end
return gone
`);

/** Raises a model's floors, and keeps them for ever. KEYS: floors. ARGV: the two doubles. */
export const RAISE = redisScript(`${COMMON}
local features, scored = floors(KEYS[1])
features = math.max(features, double(ARGV[1], 1))
scored = math.max(scored, double(ARGV[1], 9))
${EVEN_WHERE_FULL('KEYS[1]')}
redis.call('SET', KEYS[1], struct.pack('<dd', features, scored))
return 1
`);
