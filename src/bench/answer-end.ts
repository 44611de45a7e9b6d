// How an answer ended, by the header block that ended it.

import type { AnswerHeaders } from './hpack.ts';
import { OK, statusOfHttp, UNKNOWN } from './status.ts';

/** @param httpStatus of the answer's first headers, -1 where that isn't known */
export function endStatus({ grpcStatus }: AnswerHeaders, httpStatus: number): number {
  if (grpcStatus >= OK) return grpcStatus;
  return isBad(httpStatus) ? statusOfHttp(httpStatus) : UNKNOWN;
}

/** What explains a status that isn't OK. */
export function endDetail(headers: AnswerHeaders, httpStatus: number): string {
  if (headers.grpcStatus > OK) return headers.message();
  return isBad(httpStatus) ? `HTTP status ${httpStatus}` : 'answer without grpc-status';
}

function isBad(httpStatus: number): boolean {
  return httpStatus >= 0 && httpStatus !== 200;
}
