// Whether a server's answers are right: a fast one that answers something else is no peer.

import type { Api, ModelCalls } from '../../src/bench/calls.ts';
import { flowOf } from '../../src/bench/report.ts';
import { runLoad } from '../../src/bench/run-load.ts';
import { DEFAULT_CONNECTIONS } from '../../src/bench/scenario.ts';
import { ModelInferResponse } from '../../src/gen/inference/inference.ts';
import { ScoreResponse } from '../../src/gen/scorewire/v1/scoring.ts';
import { MAX_SCORE_DIFFERENCE } from '../harness/requests.ts';
import { CLIENT_CORE, HOST } from '../harness/settings.ts';

/** So many at once that rows mixed up in a batch would show. */
const IN_FLIGHT = 64;
const SECONDS = 1;

/** @throws Error where an answer is not the score that its row must have, or is missing */
export async function checkAnswers(
  api: Api,
  port: number,
  calls: ModelCalls,
  scores: readonly number[],
): Promise<number> {
  const report = await runLoad(
    {
      host: HOST,
      port,
      warmUpSeconds: 0,
      seconds: SECONDS,
      drainSeconds: 10,
      flows: [
        {
          name: 'check',
          protocol: calls.protocol,
          path: calls.path,
          messages: calls.messages,
          connections: Math.min(IN_FLIGHT, DEFAULT_CONNECTIONS[calls.protocol]),
          shape: { kind: 'closed', inFlight: IN_FLIGHT },
          sampleEvery: 1,
        },
      ],
      serverPids: [],
    },
    CLIENT_CORE,
  );
  const { samples, errors, errorDetails } = flowOf(report);
  if (Object.keys(errors).length > 0) throw new Error(`errors: ${JSON.stringify(errorDetails)}`);
  const seen = new Set(samples.map(({ message }) => message));
  if (seen.size < scores.length) throw new Error(`only ${seen.size} of ${scores.length} rows were answered`);
  for (const { message, answer } of samples) {
    const [found, expected] = [scoreIn(api, answer), scores[message] as number];
    if (!(Math.abs(found - expected) <= MAX_SCORE_DIFFERENCE)) {
      throw new Error(`row ${message + 1}: expected a score of ${expected}, found ${found}`);
    }
  }
  return samples.length;
}

/** NaN where there is none. */
function scoreIn(api: Api, answer: Uint8Array): number {
  switch (api) {
    case 'native':
      return ScoreResponse.decode(answer).score;
    case 'json':
      return (JSON.parse(Buffer.from(answer).toString()) as { score?: number }).score ?? Number.NaN;
    case 'oip': {
      const { outputs, rawOutputContents } = ModelInferResponse.decode(answer);
      const [raw] = rawOutputContents;
      // MLServer answers in typed contents, the others raw.
      if (raw === undefined) return outputs[0]?.contents?.fp32Contents[0] ?? Number.NaN;
      return raw.length === 4 ? Buffer.from(raw).readFloatLE() : Number.NaN;
    }
  }
}
