// The floor of look-ups in Redis: GETs of one key over a bare socket, each after the answer of the one before. Prints the median
// round trip in microseconds.
//
// node bench/floors/redis-get.ts PORT KEY SECONDS

import { once } from 'node:events';
import { connect } from 'node:net';
import { median } from '../../src/bench/statistics.ts';

const [port, key, seconds] = process.argv.slice(2);
if (port === undefined || key === undefined || seconds === undefined) throw new Error('usage: PORT KEY SECONDS');
const WARM_UP_SHARE = 0.2;

const socket = connect(Number(port), '127.0.0.1');
socket.setNoDelay(true);
await once(socket, 'connect');

const request = Buffer.from(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`);
const startedAt = performance.now();
const measureAt = startedAt + 1000 * WARM_UP_SHARE * Number(seconds);
const endsAt = measureAt + 1000 * Number(seconds);
const tookUs: number[] = [];
let sentAt = startedAt;
// So small an answer comes in one piece.
socket.on('data', (answer) => {
  const now = performance.now();
  if (answer.toString('latin1', 0, 2) === '$-') throw new Error(`no such key: ${key}`);
  if (now > measureAt) tookUs.push(1000 * (now - sentAt));
  if (now > endsAt) {
    socket.destroy();
    process.stdout.write(`${median(tookUs)}\n`);
    return;
  }
  sentAt = performance.now();
  socket.write(request);
});
socket.write(request);
