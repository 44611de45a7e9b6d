// Settings that are right one by one and wrong together.

import type { Settings } from './settings.ts';

/** What is wrong, one line each. `told` says a setting with its value and origin. */
export function contradictions(settings: Settings, told: (key: string) => string): string[] {
  const { server, tls, limits, batching, models } = settings;
  const problems: string[] = [];
  if (tls.cert !== undefined && tls.key === undefined) {
    problems.push(`${told('tls.cert')} needs tls.key, which is not set`);
  }
  if (tls.key !== undefined && tls.cert === undefined) {
    problems.push(`${told('tls.key')} needs tls.cert, which is not set`);
  }
  if (tls.clientCa !== undefined && tls.cert === undefined && tls.key === undefined) {
    problems.push(`${told('tls.client_ca')} needs tls.cert and tls.key, which are not set`);
  }
  if (server.port !== 0 && server.port === server.httpPort && (server.httpHost ?? server.host) === server.host) {
    problems.push(`${told('server.port')} and ${told('server.http_port')} are the same port`);
  }
  if (limits.maxQueueRows < batching.maxRows) {
    problems.push(
      `${told('limits.max_queue_rows')} is less than ${told('batching.max_rows')}: a full batch could never be queued`,
    );
  }
  if (batching.latencyBudgetMs !== undefined && batching.maxDelayMs >= batching.latencyBudgetMs) {
    problems.push(
      `${told('batching.max_delay_ms')} is not less than ${told('batching.latency_budget_ms')}: waiting would use it up`,
    );
  }
  if (models.loadAtStart !== 'all' && models.control !== 'explicit') {
    problems.push(`${told('models.load_at_start')} needs models.control explicit, which is ${models.control}`);
  }
  return problems;
}
