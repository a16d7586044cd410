/**
 * The reversal task: who owns what is learned as "A owns B" and asked as "who owns B". There is one
 * small world of facts, the same for everybody. Training texts have all facts forwards and most of
 * them backwards; tests ask backwards for those that were only ever told forwards.
 */
import type { Draft, Family } from './family.js';
import { hash, Random } from './random.js';
import { adjectives, families, names, nouns } from './words.js';

interface Fact {
  owner: string[]; // first name, family name
  thing: string[]; // adjective, noun
}

const worldSeed = 2510;

/** 128 facts: no owner and no thing comes twice. */
export const facts: readonly Fact[] = (() => {
  const random = new Random(worldSeed, [0, 0, hash('reversal')]);
  const pairs = (a: readonly string[], b: readonly string[]) =>
    a.flatMap((first) => b.map((second) => [first, second]));
  const owners = random.sample(pairs(names, families), 128);
  const things = random.sample(pairs(adjectives, nouns), 128);
  return owners.map((owner, i) => ({ owner, thing: things[i] }));
})();

/** Told forwards only, in training. */
const heldOut = facts.filter((_, i) => i % 5 === 0);
const told = facts.filter((_, i) => i % 5 !== 0);

export const reversal: Family = {
  about: 'who owns a thing, when only what the person owns was learned',
  size: { of: 'words', min: 2, max: 2 },
  draw: (random, _n, split): Draft => {
    const forwards = split === 'train' && random.below(2) === 0;
    const { owner, thing } = random.pick(split === 'test' ? heldOut : forwards ? facts : told);
    const [known, verb, answer] = forwards ? [owner, 'owns', thing] : [thing, 'owner', owner];
    return {
      prompt: ['fact', ':', ...known, verb, '='],
      answer,
      answers: () => [answer],
    };
  },
};
