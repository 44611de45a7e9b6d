// Triton, from the wheel nvidia-pytriton: its server without the rest of it.

import { copyFileSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freePort, ServerProcess } from '../harness/server-process.ts';
import { HOST, SERVER_CORE } from '../harness/settings.ts';
import { answers, FEATURES, hasPackage, here, MODEL, MODEL_FILE, PEERS, type Peer } from './peer.ts';

/** The server inside nvidia-pytriton, with its Python backend; no delay, batches of up to 64. */
export const triton: Peer = {
  name: 'triton',
  api: 'oip',
  installed: () => hasPackage('triton', 'pytriton'),
  async start(scratch) {
    const venv = join(PEERS, 'triton');
    const [packages = ''] = globSync(join(venv, 'lib', 'python3*', 'site-packages'));
    const server = join(packages, 'pytriton', 'tritonserver');
    const version = /python(3\.\d+)/.exec(packages)?.[1] ?? '';
    const backend = join(scratch, 'backends', 'python');
    const model = join(scratch, 'models', MODEL);
    mkdirSync(backend, { recursive: true });
    mkdirSync(join(model, '1'), { recursive: true });
    for (const file of ['libtriton_python.so', 'triton_python_backend_utils.py']) {
      copyFileSync(join(server, 'backends', 'python', file), join(backend, file));
    }
    // The stub has to be of the Python that onnxruntime is installed for.
    copyFileSync(
      join(server, 'python_backend_stubs', version, 'triton_python_backend_stub'),
      join(backend, 'triton_python_backend_stub'),
    );
    copyFileSync(MODEL_FILE, join(model, '1', 'model.onnx'));
    copyFileSync(here('triton_model.py'), join(model, '1', 'model.py'));
    writeFileSync(
      join(model, 'config.pbtxt'),
      `name: "${MODEL}"
backend: "python"
max_batch_size: 64
input [ { name: "features" data_type: TYPE_FP32 dims: [ ${FEATURES} ] } ]
output [ { name: "score" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { max_queue_delay_microseconds: 0 }
`,
    );
    const [port, httpPort] = [await freePort(), await freePort()];
    const libraries = [
      join(packages, 'nvidia_pytriton.libs'),
      pythonLibraries(venv),
      process.env.LD_LIBRARY_PATH ?? '',
    ];
    return ServerProcess.start({
      name: 'triton',
      port,
      command: [
        join(server, 'bin', 'tritonserver'),
        ...[`--model-repository=${join(scratch, 'models')}`, `--backend-directory=${join(scratch, 'backends')}`],
        ...[`--http-address=${HOST}`, `--http-port=${httpPort}`, `--grpc-address=${HOST}`, `--grpc-port=${port}`],
        ...['--allow-metrics=false', '--disable-auto-complete-config', '--model-control-mode=none'],
        ...['--backend-config=python,shm-default-byte-size=8388608', `--cache-directory=${join(server, 'caches')}`],
      ],
      core: SERVER_CORE,
      env: {
        PYTHONPATH: packages,
        PATH: `${join(venv, 'bin')}:${process.env.PATH ?? ''}`,
        LD_LIBRARY_PATH: libraries.join(':'),
        OMP_NUM_THREADS: '1',
      },
      ready: (address) => answers(address, 'oip'),
    });
  },
};

/** The folder of libpython, which Triton's stub is linked against. */
function pythonLibraries(venv: string): string {
  const config = readFileSync(join(venv, 'pyvenv.cfg'), 'utf8');
  const home = /^home = (.*)$/m.exec(config)?.[1] ?? '/usr/bin';
  return join(dirname(home), 'lib');
}
