/** `lacuna measure`: what diffusion does, as tables, JSON and charts. */
import { Command } from 'commander';
import { jointCommand } from './joint.js';
import { likelihoodCommand } from './likelihood.js';
import { orderCommand } from './order.js';
import { oscillationCommand } from './oscillation.js';
import { positionsCommand } from './positions.js';
import { toyCommand } from './toy.js';
import { zipfCommand } from './zipf.js';

export function measureCommand(): Command {
  const measure = new Command('measure')
    .description('Measurements of what a diffusion model does, as tables, JSON and charts.')
    .summary('order, joint probability, likelihood, oscillation …');
  for (const command of [
    orderCommand(),
    jointCommand(),
    zipfCommand(),
    toyCommand(),
    positionsCommand(),
    likelihoodCommand(),
    oscillationCommand(),
  ]) {
    measure.addCommand(command);
  }
  return measure;
}
