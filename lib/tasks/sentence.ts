/**
 * Words to sentence, as ParallelBench's, in a grammar small enough to check:
 *
 *     sentence = phrase verb phrase [preposition phrase] .
 *     phrase   = (the | a | an) [adjective] noun
 *
 * with `a` and `an` by the letter that follows. The given words must all be there, and no others but
 * determiners: which noun comes first, which gets the adjective and every determiner are free.
 */
import { orders, type Draft, type Family } from './family.js';
import { adjectives, nouns, prepositions, verbs } from './words.js';

/** Given words by kind, for 3 to 7 of them. */
const shapes: Record<number, { nouns: number; adjectives: number }> = {
  3: { nouns: 2, adjectives: 0 },
  4: { nouns: 2, adjectives: 1 },
  5: { nouns: 3, adjectives: 0 },
  6: { nouns: 3, adjectives: 1 },
  7: { nouns: 3, adjectives: 2 },
};

export const sentence: Family = {
  about: 'a sentence of exactly these words and articles',
  size: { of: 'words', min: 3, max: 7 },
  draw: (random, n): Draft => {
    const shape = shapes[n];
    const given = [
      ...random.sample(nouns, shape.nouns),
      ...random.sample(adjectives, shape.adjectives),
      random.pick(verbs),
      ...(shape.nouns > 2 ? [random.pick(prepositions)] : []),
    ];
    const answers = sentences(given);
    return {
      key: given.toSorted().join(' '),
      prompt: ['sentence', ':', ...random.shuffle(given), '='],
      answer: random.pick(answers),
      answers: () => answers,
    };
  },
};

/** All sentences of these words, at most 288. */
function sentences(given: string[]): string[][] {
  const of = (kind: string[]) => given.filter((word) => kind.includes(word));
  const described = (order: string[]) =>
    of(adjectives).reduce<string[][]>(
      (all, adjective) =>
        all.flatMap((phrases) =>
          [...phrases.keys()]
            .filter((i) => !phrases[i].includes(' '))
            .map((i) => phrases.with(i, `${adjective} ${phrases[i]}`)),
        ),
      [order],
    );
  return [...orders(of(nouns))].flatMap(described).flatMap((phrases) =>
    determined(phrases).map(([subject, object, place]) => {
      const where = place === undefined ? [] : [...of(prepositions), place];
      return [subject, ...of(verbs), object, ...where, '.'].join(' ').split(' ');
    }),
  );
}

/** The phrases with every choice of determiners. */
function determined(phrases: string[]): string[][] {
  return phrases.reduce<string[][]>(
    (all, phrase) => {
      const article = /^[aeiou]/.test(phrase) ? 'an' : 'a';
      return all.flatMap((before) =>
        ['the', article].map((word) => [...before, `${word} ${phrase}`]),
      );
    },
    [[]],
  );
}
