// The peers that are Python throughout.

import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, ServerProcess } from '../harness/server-process.ts';
import { HOST, SERVER_CORE } from '../harness/settings.ts';
import { answers, FEATURES, hasPackage, here, MODEL, MODEL_FILE, type Peer, program } from './peer.ts';

/** Without worker processes, as one core has room for one; adaptive batches of up to 64 within 0.5 ms. */
export const mlserver: Peer = {
  name: 'mlserver',
  api: 'oip',
  installed: () => hasPackage('mlserver', 'mlserver'),
  async start(scratch) {
    const ports = [await freePort(), await freePort(), await freePort()];
    const json = (file: string, value: unknown) => writeFileSync(join(scratch, file), JSON.stringify(value));
    json('settings.json', {
      debug: false,
      host: HOST,
      http_port: ports[0],
      grpc_port: ports[1],
      metrics_port: ports[2],
      parallel_workers: 0,
      metrics_endpoint: null,
    });
    json('model-settings.json', {
      name: MODEL,
      implementation: 'mlserver_model.OnnxModel',
      max_batch_size: 64,
      max_batch_time: 0.0005,
      inputs: [{ name: 'features', datatype: 'FP32', shape: [-1, FEATURES] }],
      outputs: [{ name: 'score', datatype: 'FP32', shape: [-1, 1] }],
      parameters: { uri: MODEL_FILE, version: '1' },
    });
    copyFileSync(here('mlserver_model.py'), join(scratch, 'mlserver_model.py'));
    return ServerProcess.start({
      name: 'mlserver',
      port: ports[1] as number,
      command: [program('mlserver', 'mlserver'), 'start', scratch],
      core: SERVER_CORE,
      env: { PYTHONPATH: scratch, OMP_NUM_THREADS: '1' },
      ready: (address) => answers(address, 'oip'),
    });
  },
};

/** KServe's Python model server: its gRPC side, one process, no batches. */
export const kserve: Peer = {
  name: 'kserve',
  api: 'oip',
  installed: () => hasPackage('kserve', 'kserve'),
  async start() {
    const [httpPort, port] = [await freePort(), await freePort()];
    return ServerProcess.start({
      name: 'kserve',
      port,
      command: [
        ...[program('kserve', 'python'), here('kserve_app.py'), MODEL, MODEL_FILE, String(FEATURES)],
        ...[`--http_port=${httpPort}`, `--grpc_port=${port}`, '--workers=1', '--enable_latency_logging=false'],
      ],
      core: SERVER_CORE,
      env: { OMP_NUM_THREADS: '1' },
      ready: (address) => answers(address, 'oip'),
    });
  },
};

/** uvicorn without its line a call; connections last longer than any of ours is idle. */
export const fastapi: Peer = {
  name: 'fastapi',
  api: 'json',
  installed: () => hasPackage('fastapi', 'uvicorn'),
  async start() {
    const port = await freePort();
    return ServerProcess.start({
      name: 'fastapi',
      port,
      command: [
        ...[program('fastapi', 'uvicorn'), 'fastapi_app:app', '--app-dir', here('.'), '--host', HOST],
        ...['--port', String(port), '--workers', '1', '--no-access-log', '--timeout-keep-alive', '75'],
      ],
      core: SERVER_CORE,
      env: { MODEL_FILE, OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1' },
      ready: (address) => answers(address, 'json'),
    });
  },
};
