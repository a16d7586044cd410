#!/usr/bin/env node
/** The command `lacuna`. Exit codes: 0 done, 1 an error, 2 wrong use, 130 interrupted. */
import { Command, CommanderError } from 'commander';
import { LacunaError } from '../errors.js';
import { backgroundCommand } from './background.js';
import { benchCommand } from './bench.js';
import { calibrateCommand } from './calibrate.js';
import { compareCommand } from './compare.js';
import { convertCommand } from './convert.js';
import { demoCommand } from './demo.js';
import { devicesCommand } from './devices.js';
import { oneLine } from './format.js';
import { inspectCommand } from './inspect.js';
import { interrupted } from './interrupt.js';
import { measureCommand } from './measure/index.js';
import { objectCommand } from './object.js';
import { UsageError, version } from './options.js';
import { quantiseCommand } from './quantise.js';
import { parallelbenchCommand } from './parallelbench.js';
import { replayCommand } from './replay.js';
import { runCommand } from './run.js';
import { serveCommand } from './serve.js';

function program(): Command {
  const lacuna = new Command('lacuna')
    .description('Runs masked-diffusion language models from GGUF files.')
    .version(version, '-V, --version')
    .showSuggestionAfterError()
    .enablePositionalOptions() // options after `bench cache` are its own, though `bench` has --json too
    .addHelpText(
      'after',
      `
Examples:
  lacuna demo                                        see a model write, with nothing to set up
  lacuna run llada.gguf --chat "Why is the sky blue?"
  lacuna inspect llada.gguf                          what is in a file, and what it needs
  lacuna bench llada.gguf                            how fast this machine runs it

\`lacuna <command> --help\` explains a command and its options.`,
    );
  const commands = [
    runCommand(),
    objectCommand(),
    replayCommand(),
    demoCommand(),
    inspectCommand(),
    convertCommand(),
    quantiseCommand(),
    devicesCommand(),
    benchCommand(),
    compareCommand(),
    measureCommand(),
    calibrateCommand(),
    backgroundCommand(),
    serveCommand(),
    parallelbenchCommand(),
  ];
  for (const command of commands) {
    lacuna.addCommand(command.copyInheritedSettings(lacuna));
    for (const inner of command.commands) inner.copyInheritedSettings(command);
  }
  const all = [lacuna, ...lacuna.commands, ...lacuna.commands.flatMap(({ commands }) => commands)];
  for (const command of all) command.exitOverride();
  return lacuna;
}

/** Prints what went wrong, in one line. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // it printed by itself
  const isLacuna = LacunaError.isInstance(error);
  if (isLacuna && error.code === 'ABORTED') return interrupted;
  const message = oneLine(error instanceof Error ? error.message : String(error));
  if (process.env.LACUNA_DEBUG) console.error(error);
  else if (error instanceof UsageError) console.error(`lacuna: ${message}`);
  else console.error(`lacuna: ${isLacuna ? error.code : 'INTERNAL'}: ${message}`);
  return error instanceof UsageError ? 2 : 1;
}

// A reader that closes its end (`lacuna … | head`) wants no more: that is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
}

program()
  .parseAsync()
  .catch((error: unknown) => {
    process.exitCode = report(error);
  });
