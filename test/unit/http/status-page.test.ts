import { describe, expect, it } from 'vitest';
import { type ModelStatus, type StatusSnapshot, statusPage } from '../../../src/http/status-page.ts';

const model: ModelStatus = {
  name: 'churn',
  version: '3',
  live: true,
  state: 'READY',
  queuedRows: 12,
  callsPerSecond: 1234.56,
  p50Ms: 0.75,
  p99Ms: 4,
};

function page(status: Partial<StatusSnapshot>): string {
  return statusPage({
    version: '1.2.3',
    uptimeSeconds: 93_784,
    state: 'SERVING',
    grpcAddress: '127.0.0.1:8001',
    inFlightCalls: 5,
    models: [model],
    problems: [],
    workers: [{ id: 0, state: 'BUSY' }],
    ...status,
  });
}

/** The texts of a row of a table. */
function row(html: string, first: string): string[] {
  const found = html.split('\n').find((line) => line.startsWith(`<tr><td>${first}<`)) ?? '';
  return [...found.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map(([, cell = '']) =>
    cell.replace(/<br>/g, ' ').replace(/<[^>]*>/g, ''),
  );
}

describe('the status page', () => {
  it('has state, address, uptime and calls', () => {
    expect(page({}).replace(/<[^>]*>/g, '')).toMatch(
      /Scorewire 1\.2\.3 is SERVING\ngRPC on 127\.0\.0\.1:8001, up for 1 d 2 h, 5 calls under way\./,
    );
  });

  it('has a row for each model and each worker', () => {
    const failed: ModelStatus = {
      name: 'price',
      version: '1',
      live: false,
      state: 'FAILED',
      reason: 'no such op',
      queuedRows: 0,
      callsPerSecond: 0,
    };
    const html = page({ models: [model, failed] });
    expect(row(html, 'churn')).toEqual(['churn', '3', 'live', 'READY', '12', '1234.6', '0.75', '4']);
    expect(row(html, 'price')).toEqual(['price', '1', '', 'FAILED no such op', '0', '0.0', '', '']);
    expect(row(html, '0')).toEqual(['0', 'BUSY']);
  });

  it('says so when there is nothing', () => {
    const html = page({ models: [], workers: [] });
    expect(html).toContain('No model is loaded.');
    expect(html).toContain('There is no worker.');
  });

  it('escapes every text', () => {
    const evil = `<script>alert("1" & '2')</script>`;
    const html = page({
      version: evil,
      state: evil,
      grpcAddress: evil,
      models: [{ ...model, name: evil, version: evil, state: evil, reason: evil }],
      workers: [{ id: 0, state: evil }],
    });
    expect(html).not.toContain('<script');
    expect(html.match(/&lt;script&gt;alert\(&quot;1&quot; &amp; &#39;2&#39;\)&lt;\/script&gt;/g)).toHaveLength(9);
  });

  it('loads nothing from elsewhere and reloads itself', () => {
    expect(page({})).not.toMatch(/src=|@import|url\(|https?:/);
    expect(page({})).toContain('<meta http-equiv="refresh" content="5">');
  });

  it.each([
    [0, '0 s'],
    [59.9, '59 s'],
    [3600, '1 h 0 min'],
    [90_061, '1 d 1 h'],
  ])('%d s are %s', (uptimeSeconds, shown) => {
    expect(page({ uptimeSeconds })).toContain(`up for ${shown},`);
  });
});
