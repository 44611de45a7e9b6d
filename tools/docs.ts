// Makes the reference pages in docs/ from the tables in the code: `npm run docs`; with --check it only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { settingsJsonSchema, settingsMarkdown } from '../src/config/print.ts';
import { tritonFieldsMarkdown } from '../src/models/triton-fields.ts';
import { Registry } from '../src/telemetry/instruments.ts';
import { createMetrics, metricsMarkdown } from '../src/telemetry/metrics.ts';

const registry = new Registry();
createMetrics(registry);

/** Every generated page, by its path in the repository. */
export const pages: Readonly<Record<string, string>> = {
  'docs/settings.md': `# Settings

Generated from \`src/config/settings.ts\` by \`npm run docs\`.

A setting comes from its default, then the file (\`--config FILE\` or \`SCOREWIRE_CONFIG\`), then the environment
(\`server.http_port\` is \`SCOREWIRE_SERVER_HTTP_PORT\`), then the command line (its flag, or \`--set server.http_port=9002\`);
the last one wins. \`scorewire serve --print-config\` shows every value and where it came from.

${settingsMarkdown()}`,
  'docs/settings.schema.json': `${JSON.stringify(settingsJsonSchema(), null, 2)}\n`,
  'docs/triton-config.md': `# Fields of config.pbtxt

Generated from \`src/models/triton-fields.ts\` by \`npm run docs\`.

Every field that Triton's ModelConfig has, and what becomes of it where a model that Triton served is served here. Ignored are those
without which the model answers the same; a warning names the field and its line, unless it asks for what it has by itself. A model with a
field that is refused is not served, and the reason names field and line. [models.md](models.md) says how a config is read.

${tritonFieldsMarkdown()}`,
  'docs/metrics.md': `# Metrics

Generated from \`src/telemetry/metrics.ts\` by \`npm run docs\`. On \`/metrics\` of the HTTP port, dots are underscores and the
unit is part of the name: \`rpc.server.call.duration\` is \`rpc_server_call_duration_seconds\`.

${metricsMarkdown(registry)}`,
};

const root = join(import.meta.dirname, '..');
if (import.meta.main) {
  for (const [path, text] of Object.entries(pages)) {
    if (!process.argv.includes('--check')) {
      writeFileSync(join(root, path), text);
    } else if (readFileSync(join(root, path), 'utf8') !== text) {
      console.error(`${path} is stale: run npm run docs`);
      process.exitCode = 1;
    }
  }
}
