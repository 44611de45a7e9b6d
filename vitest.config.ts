import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**'],
    // Processes, because onnxruntime can be loaded only once in a thread and must not be unloaded.
    pool: 'forks',
    // By default a machine of two cores gets one.
    maxWorkers: 2,
    testTimeout: 30_000,
  },
});
