// What ModelService says of versions that are known, be they ready or not.
import { VersionState as State, type VersionStatus } from '../gen/scorewire/v1/model.ts';
import type { IndexEntry, VersionState } from '../scoring/model-registry.ts';

const STATES: Readonly<Record<VersionState, State>> = {
  LOADING: State.VERSION_STATE_LOADING,
  READY: State.VERSION_STATE_READY,
  UNLOADING: State.VERSION_STATE_UNLOADING,
  UNAVAILABLE: State.VERSION_STATE_UNAVAILABLE,
};

export function toVersionStatus({ name, version, state, reason }: IndexEntry): VersionStatus {
  return {
    name,
    version: version === undefined ? undefined : BigInt(version),
    state: state === undefined ? State.VERSION_STATE_UNSPECIFIED : STATES[state],
    reason,
  };
}
