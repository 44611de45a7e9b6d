// Errors of requests with tensors, in the words that clients of Triton know.
import { type ErrorDetails, ScorewireError } from '../errors.ts';

/** Characters of what a caller sent that come back in an error. */
const MAX_SHOWN = 200;

export const NO_ROOM = new ScorewireError(
  'overloaded',
  'TOO_MANY_LARGE_MESSAGES',
  'the server holds as many large messages as it may; try again later',
);

/** What errors about a request, rather than about one of its fields, begin with. */
export function requestPrefix(id: string): string {
  return `[request id: ${id === '' ? '<id_unknown>' : shown(id)}] `;
}

/** A wrong field of a request. @param message as clients know it, which may say it at length */
export function wrongField(field: string, message: string): ScorewireError {
  return new ScorewireError('invalid_argument', 'INVALID_FIELD', message, {
    violations: [{ field, description: message }],
  });
}

/** A name, as far as it is shown. */
export function shown(name: string): string {
  return name.length <= MAX_SHOWN ? name : name.slice(0, MAX_SHOWN);
}

/**
 * An error of queue, run or admission as clients of Triton know it. Reasons, times to wait and causes stay.
 * @param timedOut whether the request's own timeout ends before the call's deadline
 */
export function toInferError(error: ScorewireError, id: string, timedOut: boolean): ScorewireError {
  switch (error.kind) {
    case 'overloaded':
      // Refused at once, as the queue tells that it can't be in time.
      if (timedOut && error.reason === 'OVERLOADED') return reworded(error, 'Request timeout expired');
      return reworded(error, `${requestPrefix(id)}Exceeds maximum queue size`);
    case 'unavailable':
      if (error.reason === 'DRAINING') {
        return reworded(error, 'GRPC server is shutting down and has stopped accepting new requests.');
      }
      return error.reason === 'NOT_READY' ? reworded(error, 'Server not ready') : error;
    case 'deadline_exceeded':
      return timedOut ? reworded(error, 'Request timeout expired') : error;
    default:
      return error;
  }
}

function reworded({ reason, details, message: cause }: ScorewireError, message: string): ScorewireError {
  const metadata = { ...details.metadata, detail: cause };
  return new ScorewireError('unavailable', reason, message, { ...details, metadata } satisfies ErrorDetails);
}
