import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage, request } from 'node:http';
import { get as getTls } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SetupError } from '../../../src/errors.ts';
import { type HttpContent, type HttpServerOptions, startHttpServer } from '../../../src/http/http-server.ts';
import type { StatusSnapshot } from '../../../src/http/status-page.ts';
import { createLogger } from '../../../src/telemetry/log.ts';

const log = createLogger({ level: 'silent', format: 'json' });

const status: StatusSnapshot = {
  version: '1.2.3',
  uptimeSeconds: 10,
  state: 'SERVING',
  grpcAddress: '127.0.0.1:8001',
  inFlightCalls: 0,
  models: [],
  workers: [],
  problems: [],
};

async function start(content: Partial<HttpContent> = {}, options: Partial<HttpServerOptions> = {}) {
  const server = await startHttpServer(
    { host: '127.0.0.1', port: 0, log, ...options },
    {
      metricsText: async () => 'up 1\n',
      ready: () => ({ ready: true, reason: 'serving' }),
      status: () => status,
      problems: () => ['job nightly is late'],
      ...content,
    },
  );
  onTestFinished(() => server.close());
  return { ...server, url: `http://127.0.0.1:${server.port}` };
}

describe('the pages', () => {
  it('has metrics as Prometheus text', async () => {
    const response = await fetch(`${(await start()).url}/metrics?name=x`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toBe('up 1\n');
  });

  it('is alive whether it is ready or not, and says why not', async () => {
    let ready = false;
    const { url } = await start({ ready: () => ({ ready, reason: ready ? 'serving' : 'warming up churn' }) });
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    const before = await fetch(`${url}/readyz`);
    expect([before.status, await before.text()]).toEqual([503, 'warming up churn\n']);
    ready = true;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('tells what is wrong while it serves', async () => {
    const response = await fetch(`${(await start()).url}/healthz`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ ready: true, state: 'serving', problems: ['job nightly is late'] });
  });

  it('has a status page that may load nothing from elsewhere', async () => {
    const response = await fetch((await start()).url);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await response.text()).toContain('Scorewire 1.2.3 is');
  });

  it('answers HEAD without a body', async () => {
    const response = await fetch(`${(await start()).url}/metrics`, { method: 'HEAD' });
    expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([200, '5', '']);
  });

  it('knows nothing else, and changes nothing', async () => {
    const { url } = await start();
    const missing = await fetch(`${url}/admin`);
    expect([missing.status, await missing.text()]).toEqual([
      404,
      'not here; there are / /metrics /livez /readyz /healthz\n',
    ]);
    const post = await fetch(`${url}/metrics`, { method: 'POST', body: 'x' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('keeps a failure to itself and goes on', async () => {
    const { url } = await start({
      metricsText: async () => {
        throw new Error('secret');
      },
      status: () => {
        throw new Error('secret');
      },
    });
    for (const path of ['/metrics', '/']) {
      const response = await fetch(url + path);
      expect([response.status, await response.text()]).toEqual([500, 'internal error, see the log\n']);
    }
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  it('survives what is no HTTP', async () => {
    const { url, port } = await start();
    const socket = connect(port, '127.0.0.1');
    socket.end('\x16\x03\x01 PRI * HTTP/2.0\r\n\r\n');
    expect(await text(socket)).toContain('400 Bad Request');
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });
});

describe('TLS', () => {
  const pem = (name: string) => readFileSync(new URL(`tls/${name}.pem`, import.meta.url), 'utf8');
  const tls = { cert: pem('cert'), key: pem('key') };

  async function status(port: number, client: object): Promise<number | undefined> {
    const options = { host: '127.0.0.1', port, path: '/livez', ca: tls.cert, agent: false as const, ...client };
    const [response] = (await once(getTls(options), 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  }

  it('is spoken when there is a certificate', async () => {
    const { port } = await start({}, { tls });
    expect(await status(port, {})).toBe(200);
  });

  it('asks the client for one when there is an authority', async () => {
    const { port } = await start({}, { tls: { ...tls, clientCa: tls.cert } });
    expect(await status(port, tls)).toBe(200);
    await expect(status(port, {})).rejects.toThrow();
  });

  it('does not start with what is no certificate', async () => {
    await expect(start({}, { tls: { cert: 'x', key: 'y' } })).rejects.toThrow(/^tls.cert or tls.key can't be used/);
  });
});

describe('a start that fails', () => {
  it('names port and setting when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const failure = start({}, { port });
    await expect(failure).rejects.toBeInstanceOf(SetupError);
    await expect(failure).rejects.toThrow(
      `HTTP can't listen on 127.0.0.1:${port}: the port is taken; set server.http_port (--http-port) to another, 0 or off`,
    );
  });

  it('names host and setting when the address is not ours', async () => {
    await expect(start({}, { host: '192.0.2.1' })).rejects.toThrow(
      "HTTP can't listen on 192.0.2.1:0: no address of this machine; set server.http_host or server.host to one",
    );
  });
});

describe('close', () => {
  it('ends connections that are kept alive', async () => {
    const { port, close } = await start();
    const agent = new Agent({ keepAlive: true });
    const [response] = (await once(get({ port, path: '/livez', agent }), 'response')) as [IncomingMessage];
    await text(response);
    const before = performance.now();
    await close();
    expect(performance.now() - before).toBeLessThan(500);
    agent.destroy();
  });

  it('lets an answer under way end', async () => {
    const metrics = Promise.withResolvers<string>();
    const { url, close } = await start({ metricsText: () => metrics.promise });
    const response = fetch(`${url}/metrics`);
    await fetch(`${url}/livez`);
    const closed = close();
    metrics.resolve('late 1\n');
    expect(await (await response).text()).toBe('late 1\n');
    await closed;
  });

  it('cuts those who hang', async () => {
    const { port, close } = await start({ metricsText: () => new Promise(() => {}) });
    const hanging = request({ port, path: '/metrics' }).end();
    const cut = once(hanging, 'error');
    const other = request({ port, path: '/livez' }).end();
    await once(other, 'response');
    const before = performance.now();
    await close();
    expect(performance.now() - before).toBeLessThan(3000);
    await cut;
  });
});
