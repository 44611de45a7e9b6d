// `scorewire models`: what a server serves, and what it is to.
import type { Command } from 'commander';
import {
  LoadModelResponse,
  ModelInfo,
  ModelServiceService,
  taskToJSON,
  UnloadModelResponse,
  VersionState,
  type VersionStatus,
  versionStateToJSON,
} from '../gen/scorewire/v1/model.ts';
import { dataTypeToJSON } from '../gen/scorewire/v1/tensor.ts';
import { type AdminFlags, addAdminOptions, calling } from './admin-calls.ts';
import { addConnectionOptions, type ConnectionFlags, connectTo, deadlineOf, versionOf } from './connection-options.ts';
import { table } from './table.ts';

type ChangeFlags = AdminFlags & { json?: boolean };

const LOAD_HELP = `
What is served becomes what lies in the model's folder: versions that are new, or were changed, are loaded beside those
that are served, and take their place when they are warm. No call fails meanwhile. The server must be told that callers
decide what it loads (models.control explicit).

Exit status: 0 done; 1 not done, or not with every version in the folder: what was served before in its place goes on.`;

export function addModels(program: Command): void {
  const models = addConnectionOptions(
    program.command('models').description('list the models of a server, or show, load or unload one'),
  )
    .enablePositionalOptions()
    .argument('[model]', 'show everything about this one, as JSON')
    .option('--model-version <number>', 'a version other than the live one')
    .option('--json', 'print JSON')
    .action(async (model: string | undefined, flags: ConnectionFlags & { modelVersion?: string; json?: boolean }) => {
      const version = versionOf(flags.modelVersion);
      const deadlineMs = deadlineOf(flags);
      const calls = connectTo(flags);
      try {
        if (model !== undefined) {
          const found = await calls.unary(ModelServiceService.getModel, { model, version }, deadlineMs);
          console.log(JSON.stringify(ModelInfo.toJSON(found.model as ModelInfo), null, 2));
          return;
        }
        const listed = await calls.unary(ModelServiceService.listModels, {}, deadlineMs);
        if (flags.json)
          console.log(
            JSON.stringify(
              listed.models.map((info) => ModelInfo.toJSON(info)),
              null,
              2,
            ),
          );
        else process.stdout.write(listText(listed.models, listed.versions));
      } finally {
        calls.close();
      }
    });
  addAdminOptions(models.command('load').description("serve what lies in a model's folder"))
    .argument('<model>', "the model's name")
    .option('--json', 'print JSON')
    .addHelpText('after', LOAD_HELP)
    .action(async (model: string, flags: ChangeFlags) => {
      const deadlineMs = deadlineOf(flags);
      await calling(flags, async (calls) => {
        const response = await calls.unary(ModelServiceService.loadModel, { model, version: undefined }, deadlineMs);
        if (flags.json) console.log(JSON.stringify(LoadModelResponse.toJSON(response), null, 2));
        else process.stdout.write(statusText(response.versions));
        if (response.versions.some(hasFailed)) process.exitCode = 1;
      });
    });
  addAdminOptions(models.command('unload').description('serve a model no longer; it is released after its last call'))
    .argument('<model>', "the model's name")
    .option('--json', 'print JSON')
    .action(async (model: string, flags: ChangeFlags) => {
      const deadlineMs = deadlineOf(flags);
      await calling(flags, async (calls) => {
        const response = await calls.unary(ModelServiceService.unloadModel, { model, version: undefined }, deadlineMs);
        if (flags.json) console.log(JSON.stringify(UnloadModelResponse.toJSON(response), null, 2));
        else process.stdout.write(statusText(response.versions));
      });
    });
}

function listText(models: readonly ModelInfo[], versions: readonly VersionStatus[]): string {
  const others = versions.filter(({ state }) => state !== VersionState.VERSION_STATE_READY);
  const rows = [
    ...models.map(describe),
    ...others.map((status) => [...nameOf(status), '', stateOf(status), '', '', '', '']),
  ].sort(([a = ''], [b = '']) => (a < b ? -1 : a > b ? 1 : 0));
  return table(['model', 'version', 'live', 'state', 'task', 'row', 'batch', 'budget'], rows) + reasonsText(versions);
}

function statusText(versions: readonly VersionStatus[]): string {
  const rows = versions.map((status) => [...nameOf(status), stateOf(status)]);
  return table(['model', 'version', 'state'], rows) + reasonsText(versions);
}

/** Why versions are not served as they lie in their folders, a line each. */
function reasonsText(versions: readonly VersionStatus[]): string {
  return versions
    .filter(hasFailed)
    .map((status) => `${nameOf(status).join(' ').trim()}: ${status.reason}\n`)
    .join('');
}

function hasFailed({ reason }: VersionStatus): boolean {
  return reason !== '' && reason !== 'unloaded';
}

function nameOf({ name, version }: VersionStatus): [string, string] {
  return [name, version === undefined ? '' : String(version)];
}

function stateOf({ state, reason }: VersionStatus): string {
  if (state === VersionState.VERSION_STATE_UNSPECIFIED || reason === 'unloaded') return 'not loaded';
  return versionStateToJSON(state).replace('VERSION_STATE_', '').toLowerCase();
}

function describe(info: ModelInfo): string[] {
  const inputs = info.inputs.map(({ dataType, shape }) => `${short(dataTypeToJSON(dataType))}[${shape.join(',')}]`);
  return [
    info.name,
    String(info.version),
    info.live ? 'yes' : '',
    'ready',
    short(taskToJSON(info.task)),
    info.features.length > 0 ? featuresShown(info) : inputs.join(' '),
    info.batching?.enabled ? `to ${info.batching.kneeRows}` : 'single',
    `${info.batching?.latencyBudgetMs} ms`,
  ];
}

/** `11 features (8 store, 2 computed)`: how many, and where those come from that a request need not bring. */
function featuresShown({ features }: ModelInfo): string {
  const elsewhere = ['store', 'computed'].flatMap((wanted) => {
    const found = features.filter(({ source }) => source === wanted).length;
    return found === 0 ? [] : [`${found} ${wanted}`];
  });
  return `${features.length} features${elsewhere.length === 0 ? '' : ` (${elsewhere.join(', ')})`}`;
}

/** `TASK_BINARY` as `binary`. */
function short(name: string): string {
  return name.replace(/^(TASK|DATA_TYPE)_/, '').toLowerCase();
}
