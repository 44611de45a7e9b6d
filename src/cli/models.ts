// `scorewire models`: what a server serves.
import type { Command } from 'commander';
import { ModelInfo, ModelServiceService, taskToJSON } from '../gen/scorewire/v1/model.ts';
import { dataTypeToJSON } from '../gen/scorewire/v1/tensor.ts';
import { addConnectionOptions, type ConnectionFlags, connectTo, deadlineOf, versionOf } from './connection-options.ts';
import { table } from './table.ts';

export function addModels(program: Command): void {
  addConnectionOptions(program.command('models').description('list the models of a server, or show one'))
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
        const { models } = await calls.unary(ModelServiceService.listModels, {}, deadlineMs);
        if (flags.json)
          console.log(
            JSON.stringify(
              models.map((info) => ModelInfo.toJSON(info)),
              null,
              2,
            ),
          );
        else
          process.stdout.write(
            table(['model', 'version', 'live', 'task', 'row', 'batch', 'budget'], models.map(describe)),
          );
      } finally {
        calls.close();
      }
    });
}

function describe(info: ModelInfo): string[] {
  const inputs = info.inputs.map(({ dataType, shape }) => `${short(dataTypeToJSON(dataType))}[${shape.join(',')}]`);
  return [
    info.name,
    String(info.version),
    info.live ? 'yes' : '',
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
