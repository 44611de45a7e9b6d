import type { Command } from 'commander';
import type { ConnectOptions } from '../client/connect.ts';

export type ConnectionFlags = ConnectOptions & { address: string; deadline: string };

/** Where the server is and how long to wait for it, for commands that call one. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--address <host:port>', 'where the server listens', '127.0.0.1:8001')
    .option('--deadline <ms>', 'give up after so many milliseconds', '5000')
    .option('--tls', "use TLS with the system's authorities")
    .option('--ca <file>', 'use TLS and trust this PEM file')
    .option('--cert <file>', 'show this client certificate (PEM)')
    .option('--key <file>', 'private key of the client certificate (PEM)');
}
