/** The closed vocabulary of the tasks: every prompt and every answer is made of these words. */

/** In alphabetical order, which is the order that `sort` asks for. */
export const names = (
  'Ada Amy Ann Ben Bob Cal Cid Dan Deb Eli Eva Fay Fox Gil Gus Hal Ida Ian Ivy Jay Joe Kay Ken ' +
  'Kim Lea Leo Liz Max May Mia Ned Nia Ola Otto Pam Pat Ray Rex Rob Ron Sam Sue Ted Tim Una Val ' +
  'Viv Zoe'
)
  .split(' ')
  .sort();

export const families =
  'Ash Bell Cole Dean Ford Gray Hill King Lane Moss Nash Park Reed Shaw Wood York'.split(' ');

export const adjectives = 'angry big black blue happy old orange red small ugly'.split(' ');
export const nouns =
  'actor ant apple boat bird box cat cup dog egg girl hat horse lion owl tree'.split(' ');
export const verbs = 'finds follows hears likes meets paints sees sells'.split(' ');
export const prepositions = 'behind near under with'.split(' ');
export const determiners = ['a', 'an', 'the'];

export const digits = '0 1 2 3 4 5 6 7 8 9'.split(' ');

const markers = (
  'copy reverse replace insert remove sort shuffle index random sentence latin sudoku fact owns ' +
  'owner : = _ .'
).split(' ');

/**
 * All words, each once. Texts join them by single blanks: a tokenizer with one token for each (and
 * its own tokens for mask and end of text) is enough.
 */
export const taskWords: readonly string[] = [
  ...markers,
  ...digits,
  ...names,
  ...families,
  ...determiners,
  ...adjectives,
  ...nouns,
  ...verbs,
  ...prepositions,
];
