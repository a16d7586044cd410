/** Whether branches of a `oneOf` exclude each other, as far as that can be seen. */
import { refuse } from './refuse.js';
import type { Member, Node } from './types.js';

function kinds(node: Node): Set<string> {
  if (node.kind === 'union') return new Set(node.branches.flatMap((branch) => [...kinds(branch)]));
  if (node.kind !== 'choice') return new Set([node.kind]);
  return new Set(
    node.texts.map((text) => {
      const value = JSON.parse(text) as unknown;
      if (value === null) return 'null';
      return Array.isArray(value) ? 'array' : typeof value;
    }),
  );
}

/** Plans that say less than their schemas: values beside them fit, too. */
type Loose = ReadonlySet<Node>;

function isLoose(node: Node, loose: Loose): boolean {
  const inner = node.kind === 'union' ? node.branches : [];
  return loose.has(node) || inner.some((branch) => isLoose(branch, loose));
}

const exclude = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>) => ![...a].some((item) => b.has(item));

/** Of two objects, each must have a member that keeps its values out of the other. */
function membersExclude(a: readonly Member[], b: readonly Member[], loose: Loose): boolean {
  const told = a.some(({ key, required, node }) => {
    const other = b.find((member) => member.key === key);
    return required && other?.required === true && disjoint(node, other.node, loose);
  });
  const lacks = (from: readonly Member[], to: readonly Member[]) =>
    from.some(({ key, required }) => required && !to.some((member) => member.key === key));
  return told || (lacks(a, b) && lacks(b, a));
}

function disjoint(a: Node, b: Node, loose: Loose): boolean {
  if (isLoose(a, loose) || isLoose(b, loose)) return false;
  if (exclude(kinds(a), kinds(b))) return true;
  if (a.kind === 'choice' && b.kind === 'choice')
    return exclude(new Set(a.texts), new Set(b.texts));
  return a.kind === 'object' && b.kind === 'object' && membersExclude(a.members, b.members, loose);
}

export function refuseOverlap(
  branches: readonly (Node | undefined)[],
  path: string,
  loose: Loose,
): void {
  branches.forEach((a, i) => {
    branches.slice(i + 1).forEach((b, j) => {
      if (a === undefined || b === undefined || disjoint(a, b, loose)) return;
      refuse(
        path,
        `has a oneOf whose branches ${i} and ${i + 1 + j} do not evidently exclude each other: ` +
          'give them different types or a required property with different values, or use anyOf',
      );
    });
  });
}
