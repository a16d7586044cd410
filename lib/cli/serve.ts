/** `lacuna serve`: an endpoint for OpenAI's clients. */
import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { presetNames, type PresetName } from '../decoding/presets.js';
import { loadModel } from '../model.js';
import { createHandler, limitsOf, listen } from '../server/index.js';
import { embeddedDefaults } from './embedded.js';
import { readText } from './files.js';
import {
  defined,
  embeddedModel,
  loadOptions,
  machineOptions,
  oneOf,
  overrideOptions,
  real,
  UsageError,
  whole,
  type ModelFlags,
} from './options.js';

interface ServeFlags extends ModelFlags {
  host: string;
  port: number;
  preset?: PresetName;
  id?: string;
  apiKeyFile?: string;
  insecure?: boolean;
  allowHost: string[];
  allowOrigin: string[];
  parallel?: number;
  queue?: number;
  drainDelay: number;
  drainTimeout: number;
  chatTemplate?: string;
}

export function serveCommand(): Command {
  const more = (value: string, before: string[]) => [...before, value];
  const command = new Command('serve')
    .description(
      "Serves a model to OpenAI's clients: chat completions, completions, models; health, metrics.",
    )
    .summary('an OpenAI-compatible server')
    .argument('[model]', 'GGUF file (default: the small Shakespeare model in the package)')
    .optionsGroup('Server:')
    .option('--host <name>', 'address to listen on', '127.0.0.1')
    .option('-p, --port <n>', 'port; 0: any that is free', whole(0, 65_535), 8642)
    .option('--id <name>', 'what clients call the model (default: the name of the file)')
    .option('--preset <name>', 'of requests that name none (default: fast)', oneOf(presetNames))
    .option('--parallel <n>', 'generations at a time (default: 8)', whole(1, 256))
    .option('--queue <n>', 'requests that may wait for their turn (default: 64)', whole(1))
    .optionsGroup('Access:')
    .option('--api-key-file <path>', 'keys, one a line (also: LACUNA_API_KEY)')
    .option('--allow-host <name>', 'a name that the server is reached by', more, [])
    .option('--allow-origin <origin>', 'a page that may call: https://app.example', more, [])
    .option('--insecure', 'listen on other addresses than loopback without a key')
    .optionsGroup('Shutting down (SIGTERM; a second signal ends at once):')
    .option('--drain-delay <s>', 'seconds that new requests are still served', real(0), 5)
    .option('--drain-timeout <s>', 'seconds that running ones then have', real(0), 30);
  machineOptions(command);
  overrideOptions(command);
  return command.action(serve);
}

async function serve(path: string | undefined, flags: ServeFlags): Promise<void> {
  const apiKeys = keysOf(flags);
  const loopback = ['127.0.0.1', '::1', 'localhost'].includes(flags.host);
  if (!loopback && apiKeys.length === 0 && !flags.insecure) {
    throw new UsageError(
      `--host ${flags.host} lets others in: give --api-key-file, or --insecure if that is meant`,
    );
  }
  const limits = limitsOf(defined({ parallel: flags.parallel, queue: flags.queue }));
  const model = await loadModel(path ?? embeddedModel, loadOptions(flags));
  try {
    const handler = createHandler({
      ...{ model, limits, apiKeys, id: flags.id },
      hosts: [flags.host, ...flags.allowHost],
      origins: flags.allowOrigin,
      defaults: {
        ...(path === undefined ? embeddedDefaults : { preset: 'fast' }),
        ...(flags.preset && { preset: flags.preset }),
      },
      onError: (error) => console.error(error),
    });
    const server = await listen(handler, {
      ...{ host: flags.host, port: flags.port, limits },
      ...{ drainDelay: flags.drainDelay, drainTimeout: flags.drainTimeout },
    });
    console.log(`${model.info.name || handler.engine.id} on ${server.url}/v1`);
    await closed((now) => server.close(now));
  } finally {
    await model.dispose();
  }
}

function keysOf({ apiKeyFile }: ServeFlags): string[] {
  const { LACUNA_API_KEY } = process.env;
  const file = apiKeyFile === undefined ? '' : readText('--api-key-file', apiKeyFile);
  const keys = [LACUNA_API_KEY ?? '', ...file.split(/\r?\n/)]
    .map((key) => key.trim())
    .filter(Boolean);
  if (apiKeyFile !== undefined && keys.length === 0) {
    const example = randomBytes(24).toString('base64url');
    throw new UsageError(`--api-key-file: ${apiKeyFile} has no key; one could be ${example}`);
  }
  return keys;
}

/** Resolves when the server has closed: on SIGTERM and SIGINT, at once on the second. */
function closed(close: (now?: boolean) => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let signals = 0;
    const stop = () => void close(++signals > 1).then(resolve, reject);
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
