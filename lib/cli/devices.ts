/** `lacuna devices`: what models can run on here. */
import { Command } from 'commander';
import { devices } from '../devices.js';
import { native } from '../native.js';
import { bytes, fields, table } from './format.js';
import { sanitise } from './glyphs.js';

export function devicesCommand(): Command {
  return new Command('devices')
    .description('Lists what models can run on: the CPU and the NVIDIA cards of this machine.')
    .summary('list what models can run on here')
    .option('--json', 'everything as JSON')
    .action(list);
}

async function list(flags: { json?: boolean }): Promise<void> {
  const { driver, problem, cards } = await devices();
  const isas = native().isas();
  if (flags.json) {
    console.log(JSON.stringify({ cpu: { isas }, cuda: { driver, problem, cards } }, null, 2));
    return;
  }
  const usable = problem ?? (cards.some((card) => !card.problem) ? 'ready' : 'no card can be used');
  console.log(
    fields([
      ['cpu', isas.join(', ')],
      ['cuda', [driver, usable].filter(Boolean).join('; ')],
    ]),
  );
  if (cards.length === 0) return;
  const rows = cards.map((card) => [
    `cuda:${card.index}`,
    sanitise(card.name),
    card.computeCapability,
    bytes(card.totalBytes),
    bytes(card.freeBytes),
    card.problem ?? problem ?? 'ready',
  ]);
  console.log('\n' + table(['device', 'card', 'capability', '>memory', '>free', 'state'], rows));
}
