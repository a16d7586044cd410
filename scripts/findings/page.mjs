// docs/findings.md from what was measured.
import { claims } from './claims.mjs';

/** @param results of measure.mjs */
export function page(results, { models, date, machine, charts }) {
  const { samples, seed } = results;
  const found = claims.map((claim) => ({ ...claim, ...claim.find(results) }));
  const summary = found.map(({ title, verdict, why }) => [title, `**${verdict}**`, why]);
  return [
    '# Findings',
    '',
    'What papers say of parallel decoding, and what it looks like on the small models in this',
    'repository. This page is written by `npm run findings`; verdicts follow from the numbers by the',
    'rule that stands with each.',
    '',
    `Models: ${models.map((name) => `\`${name}\``).join(', ')}. ${samples} test instances of each task, seed ` +
      `${seed}, ${machine}, ${date}. Intervals are 95 %: Wilson's, and Newcombe's for differences, in percentage points. What ` +
      'compares all strategies and the order of commits leaves out the large sudoku.',
    '',
    ...table([['Claim', 'Verdict', 'Numbers'], ...summary]),
    '',
    ...charts.flatMap(({ title, file }) => [`![${title}](${file})`, '']),
    ...found.flatMap(section),
  ].join('\n');
}

function section({ title, source, rule, note, verdict, why, rows }) {
  return [
    ...[`## ${title}`, ''],
    ...[`Source: ${source}. Counts as reproduced if: ${rule}.`, ''],
    ...[`**${verdict}**: ${why}.`, ''],
    ...(note ? [note, ''] : []),
    ...(rows.length > 0 ? [...table(rows), ''] : []),
  ];
}

function table([header, ...rows]) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)];
}
