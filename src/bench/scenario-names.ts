/** The scenarios of MLPerf Inference (https://arxiv.org/abs/1911.02549) and two of our own. */
export const SCENARIOS = ['single-stream', 'server', 'offline', 'closed', 'find-max'] as const;
export type ScenarioName = (typeof SCENARIOS)[number];
