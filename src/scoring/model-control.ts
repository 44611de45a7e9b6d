// Loading and unloading while serving, as the rooms above ask for it.

import type { ModelOverride } from '../models/model-files.ts';

/** Who decides what is loaded: nobody after the start, the folder, or callers. */
export type ControlMode = 'none' | 'poll' | 'explicit';

export interface ModelControl {
  readonly mode: ControlMode;
  /**
   * Reads the model's folder, loads what of it is new beside what is served, and switches when that is warm; what is not there any more,
   * or not wanted by its version policy, is released after its last request. Resolves when the switch is made.
   * @throws ScorewireError NOT_FOUND (MODEL_NOT_FOUND) where there is no such folder; FAILED_PRECONDITION (CONTROL_MODE) where the mode is not explicit;
   * FAILED_PRECONDITION (LOAD_FAILED) with the reason where no version of it could be loaded: what was served before goes on
   */
  load(name: string, override?: ModelOverride): Promise<void>;
  /**
   * Takes no new requests for the model; resolves then. It is released after its last request.
   * @throws ScorewireError FAILED_PRECONDITION (CONTROL_MODE); a model that isn't loaded is none
   */
  unload(name: string): Promise<void>;
}
