// Tables and result files.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { digits3 } from '../dist/cli/format.js';
import { root } from '../scripts/native-build.mjs';

/** A markdown table; columns whose header starts with `>` are set to the right. */
export function markdown(header, rows) {
  const right = header.map((title) => title.startsWith('>'));
  const cells = [header.map((title) => title.replace(/^>/, '')), ...rows];
  const width = header.map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const line = (row) =>
    `| ${row.map((cell, i) => (right[i] ? cell.padStart(width[i]) : cell.padEnd(width[i]))).join(' | ')} |`;
  const rule = width.map((n, i) => (right[i] ? `${'-'.repeat(n - 1)}:` : '-'.repeat(n)));
  return [line(cells[0]), line(rule), ...cells.slice(1).map(line)].join('\n');
}

export const ms = digits3;
export const percent = (part) => `${(100 * part).toFixed(1)} %`;
export const times = (ratio) => `${ratio.toFixed(2)} ×`;

const path = ({ cpu, cores }) =>
  join(root, 'bench', 'results', `${cpu.toLowerCase().replace(/[^a-z0-9]+/g, '-')}-${cores}.json`);

/** What was measured of a part on this machine at this commit, or undefined. */
export function load(machine, part) {
  const file = path(machine);
  const saved = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8'))[part] : undefined;
  return saved?.machine.commit === machine.commit && saved.machine.threads === machine.threads
    ? saved
    : undefined;
}

/**
 * Puts a part's results into the file of this machine. Rows that this run did not measure stay, if
 * they come from the same commit and thread count.
 */
export function save(machine, part, { rows, ...data }) {
  const file = path(machine);
  const everything = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const key = ({ name }) => name;
  const measured = new Set(rows.map(key));
  const kept = (load(machine, part)?.rows ?? []).filter((row) => !measured.has(key(row)));
  everything[part] = {
    machine,
    date: new Date().toISOString().slice(0, 10),
    ...data,
    rows: [...kept, ...rows],
  };
  mkdirSync(join(root, 'bench', 'results'), { recursive: true });
  writeFileSync(file, `${JSON.stringify(everything, rounded, 1)}\n`);
  return relative(root, file);
}

const rounded = (_, value) =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
