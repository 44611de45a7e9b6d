import { describe, expect, it } from 'vitest';
import type { ScorewireError } from '../../../src/errors.ts';
import { Admission } from '../../../src/scoring/admission.ts';

function refusal(admission: Admission): ScorewireError {
  try {
    admission.enter();
  } catch (error) {
    return error as ScorewireError;
  }
  throw new Error('the call was let in');
}

function opened(limit: number): Admission {
  const admission = new Admission(limit);
  admission.open();
  return admission;
}

describe('the door', () => {
  it('is closed until it is opened', () => {
    const error = refusal(new Admission(10));
    expect([error.kind, error.reason]).toEqual(['unavailable', 'NOT_READY']);
  });

  it('lets in as many calls as it may, and one more for each that leaves', () => {
    const admission = opened(2);
    admission.enter();
    admission.enter();
    const error = refusal(admission);
    expect([error.kind, error.reason]).toEqual(['overloaded', 'TOO_MANY_CALLS']);
    expect(error.details.retryAfterMs).toBeGreaterThan(0);
    expect(admission.inFlight).toBe(2);
    admission.leave();
    admission.enter();
    expect(admission.inFlight).toBe(2);
  });

  it('lets nobody in while it drains, however few there are; those inside go on', () => {
    const admission = opened(2);
    admission.enter();
    admission.drain();
    const error = refusal(admission);
    expect([error.kind, error.reason]).toEqual(['unavailable', 'DRAINING']);
    expect(admission.inFlight).toBe(1);
    admission.leave();
    expect(admission.inFlight).toBe(0);
    expect(refusal(admission).reason).toBe('DRAINING');
  });

  it('does not count whom it refused', () => {
    const admission = opened(1);
    admission.enter();
    for (let i = 0; i < 5; i++) refusal(admission);
    admission.leave();
    expect(admission.inFlight).toBe(0);
    admission.enter();
  });
});
