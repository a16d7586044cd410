/** `lacuna serve`: an endpoint for OpenAI's clients. */
import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { presetNames, type PresetName } from '../decoding/presets.js';
import { loadModel } from '../model.js';
import { createHandler, limitsOf, listen, type Handler, type Listening } from '../server/index.js';
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
  key: boolean;
  insecure?: boolean;
  allowHost: string[];
  allowOrigin: string[];
  parallel?: number;
  queue?: number;
  drainDelay: number;
  drainTimeout: number;
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
    .option(
      '--api-key-file <path>',
      'keys, one a line (also: LACUNA_API_KEY; default: a new one at each start, in the address)',
    )
    .option('--no-key', 'nobody needs a key')
    .option('--allow-host <name>', 'a name that the server is reached by', more, [])
    .option('--allow-origin <origin>', 'a page that may call: https://app.example', more, [])
    .option('--insecure', 'the same, on other addresses than loopback, too')
    .optionsGroup('Shutting down (SIGTERM; a second signal ends at once):')
    .option('--drain-delay <s>', 'seconds that new requests are still served', real(0), 5)
    .option('--drain-timeout <s>', 'seconds that running ones then have', real(0), 30);
  machineOptions(command);
  overrideOptions(command);
  return command.action(serve);
}

async function serve(path: string | undefined, flags: ServeFlags): Promise<void> {
  const { apiKeys, shown } = keysOf(flags);
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
    // The fragment stays in the browser: it is in no request and no log.
    const address = `${server.url}/${shown === undefined ? '' : `#token=${shown}`}`;
    const key = shown === undefined ? '' : ', the token is the key';
    console.log(`${handler.engine.id} on ${address} (API: ${server.url}/v1${key})`);
    await closed(handler, server);
  } finally {
    await model.dispose();
  }
}

/**
 * The keys of the file and the environment. Without, and on loopback alone, a new one: other users of
 * the machine may connect there, too.
 * @returns shown: the key that is known only when it is printed
 */
function keysOf({ apiKeyFile, key, host, insecure }: ServeFlags): {
  apiKeys: string[];
  shown?: string;
} {
  const { LACUNA_API_KEY } = process.env;
  const file = apiKeyFile === undefined ? '' : readText('--api-key-file', apiKeyFile);
  const apiKeys = [LACUNA_API_KEY ?? '', ...file.split(/\r?\n/)]
    .map((line) => line.trim())
    .filter(Boolean);
  const drawn = randomBytes(24).toString('base64url');
  if (apiKeyFile !== undefined && apiKeys.length === 0) {
    throw new UsageError(`--api-key-file: ${apiKeyFile} has no key; one could be ${drawn}`);
  }
  if (apiKeys.length > 0) {
    if (key) return { apiKeys };
    throw new UsageError('--no-key: there are keys, of --api-key-file or LACUNA_API_KEY');
  }
  const loopback = ['127.0.0.1', '::1', 'localhost'].includes(host);
  if (!loopback && !insecure) {
    throw new UsageError(
      `--host ${host} lets others in: give --api-key-file, or --insecure if that is meant`,
    );
  }
  return loopback && key && !insecure ? { apiKeys: [drawn], shown: drawn } : { apiKeys };
}

/**
 * Resolves when the server has closed: on SIGTERM and SIGINT, at once on the second, and on Ctrl-C
 * where nobody waits for an answer.
 */
function closed(handler: Handler, server: Listening): Promise<void> {
  return new Promise((resolve, reject) => {
    let signals = 0;
    const stop = (signal: NodeJS.Signals) => {
      const idle = signal === 'SIGINT' && handler.active === 0;
      void server.close(++signals > 1 || idle).then(resolve, reject);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
