import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**'],
    // Processes, because onnxruntime can be loaded only once in a thread and must not be unloaded.
    pool: 'forks',
    testTimeout: 30_000,
  },
});
