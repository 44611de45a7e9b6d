// Sends one large ModelInfer request after the other for some seconds, and prints what became of them.
// `node large-infer.ts ADDRESS SECONDS KIND`, with a kind of harness/large-requests.ts.

import { Client, credentials } from '@grpc/grpc-js';
import { MODEL_INFER_PATH } from '../harness/infer-requests.ts';
import { largeInfers } from '../harness/large-requests.ts';

const [address = '', seconds = '1', kind = ''] = process.argv.slice(2);
const request = largeInfers().find((one) => one.kind === kind);
if (request === undefined) throw new Error(`no large request is called ${kind}`);
const message = Buffer.from(request.message);
const client = new Client(address, credentials.createInsecure(), {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
});
const same = (bytes: Buffer): Buffer => bytes;
const call = (): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    client.makeUnaryRequest(MODEL_INFER_PATH, same, same, message, (error, answer) =>
      error === null ? resolve(answer as Buffer) : reject(error),
    );
  });
const endMs = performance.now() + 1000 * Number(seconds);
let calls = 0;
const failures: string[] = [];
while (performance.now() < endMs) {
  try {
    await call();
    calls++;
  } catch (error) {
    failures.push((error as Error).message);
    if (failures.length > 3) break;
  }
}
client.close();
console.log(JSON.stringify({ calls, failures, bytes: message.length }));
