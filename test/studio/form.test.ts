/** Holes as they stand in the text of the Fill tab. */
import { expect, test } from 'vitest';
import { gapsOf, templateOf, withGap } from '../../studio/src/form.js';

const text = 'My⟦ lord| lady⟧, ⟦⟧ the ⟦3⟧ and ⟦2-8⟧.';
const gaps = [
  { choices: [' lord', ' lady'] },
  { min: 1, max: 16 },
  { min: 3, max: 3 },
  { min: 2, max: 8 },
];

test('lengths and choices', () => {
  expect(gapsOf(text)).toEqual(gaps);
  expect(templateOf(text)).toEqual([
    'My',
    gaps[0],
    ', ',
    gaps[1],
    ' the ',
    gaps[2],
    ' and ',
    gaps[3],
    '.',
  ]);
  expect(templateOf('⟦a⟧ is no hole')).toEqual(['⟦a⟧ is no hole']);
});

test('one of them becomes another', () => {
  const changed = withGap(withGap(text, 0, { choices: [' king'] }), 2, { min: 1, max: 4 });
  expect(changed).toBe('My⟦ king|⟧, ⟦⟧ the ⟦1-4⟧ and ⟦2-8⟧.');
  expect(gapsOf(changed)[0]).toEqual({ choices: [' king'] });
});
