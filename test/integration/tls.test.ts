// TLS and mutual TLS on both ports, and what is said when the files are wrong.

import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import { join } from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { connect } from '../../src/client/connect.ts';
import { SetupError } from '../../src/errors.ts';
import { startServer } from '../../src/server.ts';
import { Authority, type Pair } from '../support/certificates.ts';
import { modelFolder, tempFolder } from '../support/model-folder.ts';
import { linear } from '../support/onnx-builder.ts';
import { failureOf } from '../support/test-client.ts';
import { TestServer, testLog, testSettings } from '../support/test-server.ts';

let authority: Authority;
let stranger: Authority;
let server: Pair;
let client: Pair;
let strange: Pair;
let models: string;

beforeAll(async () => {
  [authority, stranger] = await Promise.all([Authority.create(), Authority.create()]);
  server = await authority.sign('server');
  client = await authority.sign('client');
  strange = await stranger.sign('strange');
  models = await modelFolder({ risk: linear([1], 0) });
});

const pem = (path: string) => readFileSync(path);

async function start(...set: string[]): Promise<TestServer> {
  const started = await TestServer.start(models, set);
  onTestFinished(() => started.stop());
  return started;
}

const tls = () => [`tls.cert=${server.cert}`, `tls.key=${server.key}`];
const mutual = () => [...tls(), `tls.client_ca=${authority.cert}`];

test('TLS: who trusts the authority is served', async () => {
  const started = await start(...tls());
  const trusting = started.connect(ChannelCredentials.createSsl(pem(authority.cert)));
  expect((await trusting.score('risk', [0])).score).toBe(0.5);
  expect(await trusting.check()).toBe('SERVING');
  expect(await https(started, '/readyz', { ca: pem(authority.cert) })).toBe('SERVING\n');
});

test('TLS: neither plain text nor strangers', async () => {
  const started = await start(...tls());
  // The client that every test has speaks plain text.
  expect((await failureOf(started.client.score('risk', [0]))).code).toBe('UNAVAILABLE');
  const strangers = started.connect(ChannelCredentials.createSsl(pem(stranger.cert)));
  expect((await failureOf(strangers.score('risk', [0]))).code).toBe('UNAVAILABLE');
  const trusting = started.connect(ChannelCredentials.createSsl(pem(authority.cert)));
  expect((await trusting.score('risk', [0])).score).toBe(0.5);
});

test('mutual TLS: only who shows a certificate of the authority', async () => {
  const started = await start(...mutual());
  const ca = pem(authority.cert);
  const known = started.connect(ChannelCredentials.createSsl(ca, pem(client.key), pem(client.cert)));
  expect((await known.score('risk', [0])).score).toBe(0.5);
  const silent = started.connect(ChannelCredentials.createSsl(ca));
  expect((await failureOf(silent.score('risk', [0]))).code).toBe('UNAVAILABLE');
  const wrong = started.connect(ChannelCredentials.createSsl(ca, pem(strange.key), pem(strange.cert)));
  expect((await failureOf(wrong.score('risk', [0]))).code).toBe('UNAVAILABLE');
  expect((await known.score('risk', [0])).score).toBe(0.5);

  expect(await https(started, '/livez', { ca, key: pem(client.key), cert: pem(client.cert) })).toBe('alive\n');
  await expect(https(started, '/livez', { ca })).rejects.toThrow();
});

test('our own client, with the files by name', async () => {
  const started = await start(...mutual());
  const own = connect(started.address, { ca: authority.cert, cert: client.cert, key: client.key });
  expect((await own.score({ model: 'risk', row: [0] }, { deadlineMs: 5000 })).score).toBe(0.5);
  expect((await own.getModel('risk', { deadlineMs: 5000 })).name).toBe('risk');
  await own.close();

  const inMemory = connect(started.address, { ca: pem(authority.cert), cert: pem(client.cert), key: pem(client.key) });
  expect((await inMemory.score({ model: 'risk', row: [0] }, { deadlineMs: 5000 })).score).toBe(0.5);
  await inMemory.close();
});

test('files that can not be used: which setting, which file, and nothing listens', async () => {
  const folder = await tempFolder();
  const garbage = join(folder, 'garbage.pem');
  await writeFile(garbage, 'not a certificate');
  const absent = join(folder, 'absent.pem');
  const cases: [string[], string, string][] = [
    [[`tls.cert=${absent}`, `tls.key=${server.key}`], 'tls.cert', absent],
    [[`tls.cert=${server.cert}`, `tls.key=${absent}`], 'tls.key', absent],
    [[...tls(), `tls.client_ca=${absent}`], 'tls.client_ca', absent],
    [[`tls.cert=${garbage}`, `tls.key=${server.key}`], 'tls.cert', garbage],
    [[`tls.cert=${server.cert}`, `tls.key=${garbage}`], 'tls.key', garbage],
    // Each is fine, and they don't belong together.
    [[`tls.cert=${server.cert}`, `tls.key=${client.key}`], 'tls.key', client.key],
    [[...tls(), `tls.client_ca=${garbage}`], 'tls.client_ca', garbage],
  ];
  for (const [set, setting, file] of cases) {
    const failed = startServer(testSettings(models, set), testLog().log).then(
      async (running) => {
        await running.drain();
        return new Error(`started with ${set.join(' ')}`);
      },
      (error: Error) => error,
    );
    const error = await failed;
    expect(error, `${set.join(' ')}: ${error.stack}`).toBeInstanceOf(SetupError);
    expect(error.message).toContain(setting);
    expect(error.message).toContain(file);
    expect(error.message).not.toContain('\n');
  }
});

function https(started: TestServer, path: string, options: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    get({ host: '127.0.0.1', port: started.running.httpPort, path, agent, ...options }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
    }).on('error', reject);
  });
}
