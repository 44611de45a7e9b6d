import { readFile } from 'node:fs/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GatheredGets } from '../../../src/redis/gathered-gets.ts';
import { type LinkFailure, type LinkOptions, RedisLink, redisScript } from '../../../src/redis/redis-link.ts';
import { Authority } from '../../support/certificates.ts';
import { eventually } from '../../support/concurrently.ts';
import { freePort } from '../../support/free-port.ts';
import { describeWithRedis, RedisServer } from '../../support/redis-server.ts';

/** So long that only a Redis that never answers reaches it. */
const PATIENT_MS = 20_000;
const UNAVAILABLE = { kind: 'unavailable', reason: 'STORE_UNAVAILABLE' };

const links: RedisLink[] = [];
let failures: LinkFailure[] = [];

beforeEach(() => {
  failures = [];
});

afterEach(() => {
  for (const link of links.splice(0)) link.close();
});

function linkTo(url: string, options: Partial<LinkOptions> = {}): RedisLink {
  const observer = { failed: (failure: LinkFailure) => failures.push(failure), breaker: () => {} };
  const link = new RedisLink({ url, prefix: 'test', reason: 'STORE_UNAVAILABLE', observer, ...options });
  links.push(link);
  return link;
}

async function connectedTo(server: RedisServer, options: Partial<LinkOptions> = {}): Promise<RedisLink> {
  const link = linkTo(server.url, options);
  expect(await link.whenConnected(PATIENT_MS)).toBe(true);
  return link;
}

test('without a Redis calls fail at once, and say where it was looked for', async () => {
  const port = await freePort();
  const link = linkTo(`redis://user:secret@127.0.0.1:${port}`);
  await eventually(() => link.problem()?.includes('ECONNREFUSED') === true);
  const failed = link.call(['get', 'a'], PATIENT_MS);
  await expect(failed).rejects.toMatchObject(UNAVAILABLE);
  await expect(failed).rejects.toThrow(`Redis at 127.0.0.1:${port}: not connected: connect ECONNREFUSED`);
  await expect(failed).rejects.not.toThrow('secret');
  expect(failures).toEqual(['refused']);
});

test('a link that is closed says so, and is not waited for', async () => {
  const link = linkTo(`redis://127.0.0.1:${await freePort()}`);
  link.close();
  expect(await link.whenConnected(PATIENT_MS)).toBe(false);
  await expect(link.call(['get', 'a'], PATIENT_MS)).rejects.toThrow('the connection is closed');
});

describeWithRedis('with a Redis', () => {
  test('one that comes later is found', async () => {
    const port = await freePort();
    const link = linkTo(`redis://127.0.0.1:${port}`);
    await eventually(() => link.problem()?.includes('ECONNREFUSED') === true);
    await RedisServer.start({ port });
    expect(await link.whenConnected(PATIENT_MS)).toBe(true);
    expect(link.problem()).toBeUndefined();
    await link.call(['set', 'a', 'one'], PATIENT_MS);
    expect(await link.call(['get', 'a'], PATIENT_MS)).toEqual(Buffer.from('one'));
  });

  test('over TLS its certificate has to be of an authority that this process trusts', async () => {
    const authority = await Authority.create();
    const tls = { ...(await authority.sign('redis')), ca: authority.cert };
    const server = await RedisServer.start({ tls });
    const doubtful = linkTo(server.url);
    await eventually(() => doubtful.problem()?.includes('certificate') === true);
    await expect(doubtful.call(['ping'], PATIENT_MS)).rejects.toMatchObject(UNAVAILABLE);
    const trusted = getCACertificates('default');
    setDefaultCACertificates([...trusted, await readFile(authority.cert, 'utf8')]);
    try {
      const link = await connectedTo(server);
      expect(await link.call(['ping'], PATIENT_MS)).toEqual(Buffer.from('PONG'));
    } finally {
      setDefaultCACertificates(trusted);
    }
  });

  test('bytes come back as they were', async () => {
    const link = await connectedTo(await RedisServer.start());
    const bytes = Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i));
    await link.call(['set', 'bytes', bytes], PATIENT_MS);
    expect(await link.call(['get', 'bytes'], PATIENT_MS)).toEqual(bytes);
  });

  test('of a pipeline what is refused fails alone', async () => {
    const link = await connectedTo(await RedisServer.start());
    const replies = await link.pipeline(
      [
        ['set', 'a', '1'],
        ['hget', 'a', 'field'],
        ['get', 'a'],
      ],
      PATIENT_MS,
    );
    expect(replies[0]).toEqual(Buffer.from('OK'));
    expect(replies[1]).toMatchObject({ message: expect.stringContaining('WRONGTYPE') });
    expect(replies[2]).toEqual(Buffer.from('1'));
    expect(failures).toEqual(['error']);
    expect(link.problem()).toBeUndefined();
  });

  test('what Redis refuses is an error of the call, and does not keep others from being sent', async () => {
    const link = await connectedTo(await RedisServer.start());
    for (let i = 0; i < 20; i++) {
      await expect(link.call(['incrby', 'a', 'x'], PATIENT_MS)).rejects.toThrow('not an integer');
    }
    expect(await link.call(['get', 'a'], PATIENT_MS)).toBeNull();
  });

  test('scripts run when Redis does not know them yet, and when it has forgotten them', async () => {
    const server = await RedisServer.start();
    const link = await connectedTo(server);
    const script = redisScript("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    expect(await link.script(script, ['n'], [2], PATIENT_MS)).toBe(2);
    expect(await link.script(script, ['n'], [3], PATIENT_MS)).toBe(5);
    await link.call(['script', 'flush'], PATIENT_MS);
    expect(await link.script(script, ['n'], [4], PATIENT_MS)).toBe(9);
  });

  test('a Redis that stands still: calls end at their limit, then at once, and one finds out when it goes on', async () => {
    const server = await RedisServer.start();
    const clock = { ms: 0 };
    const link = await connectedTo(server, { now: () => clock.ms, silentMs: PATIENT_MS });
    server.pause();
    for (let i = 0; i < 5; i++) await expect(link.call(['get', 'a'], 5)).rejects.toThrow('no answer within 5 ms');
    // With a limit that nobody would live to see.
    const refused = link.call(['get', 'a'], PATIENT_MS * 100);
    await expect(refused).rejects.toMatchObject(UNAVAILABLE);
    await expect(refused).rejects.toThrow('does not answer');
    expect(link.problem()).toBe('it does not answer in time');
    expect(failures).toEqual([...Array(5).fill('timeout'), 'refused']);
    clock.ms += 1000;
    const probe = link.call(['get', 'a'], PATIENT_MS);
    await expect(link.call(['get', 'a'], PATIENT_MS)).rejects.toThrow('does not answer');
    server.resume();
    expect(await probe).toBeNull();
    expect(link.problem()).toBeUndefined();
  });

  test('an answer that came in time counts, though this thread was too busy to look', async () => {
    const link = await connectedTo(await RedisServer.start());
    const gets = new GatheredGets(link);
    const hold = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const called = link.call(['get', 'a'], 1);
    hold(300);
    expect(await called).toBeNull();
    // Sent at the end of this turn; held up after that.
    const gathered = [gets.get(['a'], 1), gets.get(['b'], 100)];
    setImmediate(() => hold(300));
    expect(await Promise.all(gathered)).toEqual([[null], [null]]);
  });

  test('one that never goes on is given up, and the next is found', async () => {
    const server = await RedisServer.start();
    const link = await connectedTo(server, { silentMs: 200, now: () => 0 });
    server.pause();
    // Open by now, and by this clock for ever; but a new connection is a new beginning.
    for (let i = 0; i < 5; i++) await expect(link.call(['get', 'a'], 2)).rejects.toMatchObject(UNAVAILABLE);
    await eventually(() => !link.connected);
    server.resume();
    expect(await link.whenConnected(PATIENT_MS)).toBe(true);
    expect(await link.call(['get', 'a'], PATIENT_MS)).toBeNull();
  });

  test('a connection that breaks ends the calls that are under way', async () => {
    const server = await RedisServer.start();
    const link = await connectedTo(server);
    server.pause();
    const waiting = link.call(['get', 'a'], PATIENT_MS);
    const gathered = new GatheredGets(link).get(['a'], PATIENT_MS);
    const failed = [
      expect(waiting).rejects.toMatchObject(UNAVAILABLE),
      expect(gathered).rejects.toMatchObject(UNAVAILABLE),
    ];
    await server.kill();
    await Promise.all(failed);
    expect(link.problem()).toContain('not connected');
  });

  test('nobody holds up the end: closing ends what is under way though Redis stands still', async () => {
    const server = await RedisServer.start();
    const link = await connectedTo(server, { silentMs: PATIENT_MS });
    server.pause();
    let failure: unknown;
    link.call(['get', 'a'], PATIENT_MS).catch((error: unknown) => {
      failure = error;
    });
    link.close();
    // In turns of the event loop, not by the clock.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(failure).toMatchObject(UNAVAILABLE);
    server.resume();
  });

  test('messages reach a subscriber, who is told when some may have been missed', async () => {
    const server = await RedisServer.start();
    const link = await connectedTo(server);
    const heard: string[] = [];
    const subscription = link.subscribe('news', {
      message: (text) => heard.push(text),
      began: () => heard.push('began'),
      interrupted: () => heard.push('interrupted'),
    });
    await eventually(() => subscription.active);
    await link.call(['publish', 'news', 'first'], PATIENT_MS);
    await eventually(() => heard.includes('first'));
    await server.kill();
    await eventually(() => !subscription.active);
    await RedisServer.start({ port: server.port });
    await eventually(() => subscription.active);
    expect(await link.whenConnected(PATIENT_MS)).toBe(true);
    await link.call(['publish', 'news', 'second'], PATIENT_MS);
    await eventually(() => heard.includes('second'));
    expect(heard).toEqual(['began', 'first', 'interrupted', 'began', 'second']);
  });

  test('a subscriber notices a Redis that stands still, with no message due', async () => {
    const server = await RedisServer.start();
    const link = await connectedTo(server, { silentMs: 200 });
    const subscription = link.subscribe('news', { message() {}, began() {}, interrupted() {} });
    await eventually(() => subscription.active);
    server.pause();
    await eventually(() => !subscription.active);
    server.resume();
    await eventually(() => subscription.active);
  });
});

describeWithRedis('gathered look-ups', () => {
  async function commandsSeen(server: RedisServer): Promise<number> {
    const client = server.client();
    const stats = await client.info('commandstats');
    client.disconnect();
    return Number(/cmdstat_mget:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  }

  test('of one turn are one command, each caller gets his own, and keys of several are asked for once', async () => {
    const server = await RedisServer.start();
    const link = await connectedTo(server);
    await link.call(['mset', 'a', '1', 'b', '2', 'c', '3'], PATIENT_MS);
    const gets = new GatheredGets(link);
    const texts = (keys: string[]) =>
      gets.get(keys, PATIENT_MS).then((values) => values.map((value) => value && `${value}`));
    const answers = await Promise.all([texts(['a', 'b']), texts(['none', 'a']), texts(['c']), texts(['c', 'c'])]);
    expect(answers).toEqual([['1', '2'], [null, '1'], ['3'], ['3', '3']]);
    expect(await commandsSeen(server)).toBe(1);
    expect(await texts(['b'])).toEqual(['2']);
    expect(await commandsSeen(server)).toBe(2);
  });

  test('a batch has a limit', async () => {
    const server = await RedisServer.start();
    const gets = new GatheredGets(await connectedTo(server), 3);
    await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((key) => gets.get([key], PATIENT_MS)));
    expect(await commandsSeen(server)).toBe(3);
  });

  test('each caller has a limit of his own', async () => {
    const server = await RedisServer.start();
    const gets = new GatheredGets(await connectedTo(server, { silentMs: PATIENT_MS }));
    server.pause();
    const patient = gets.get(['a'], PATIENT_MS);
    await expect(gets.get(['b'], 3)).rejects.toThrow('no answer within 3 ms');
    server.resume();
    expect(await patient).toEqual([null]);
    expect(failures).toEqual(['timeout']);
  });

  test('a value of another type counts as none', async () => {
    const link = await connectedTo(await RedisServer.start());
    await link.call(['hset', 'hash', 'field', 'value'], PATIENT_MS);
    expect(await new GatheredGets(link).get(['hash'], PATIENT_MS)).toEqual([null]);
  });
});
