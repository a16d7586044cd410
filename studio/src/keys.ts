/** Keys of the whole page; those with a text field in focus stay with it. */
import { lenses } from './figures.js';
import { at, go, index, lens, play } from './state.js';
import { faster, goBlock } from './transport.js';

export const help: [keys: string, what: string][] = [
  ['Ctrl or ⌘ + Enter', 'run'],
  ['Esc', 'stop'],
  ['Space', 'play or pause'],
  ['← →', 'step back, forward'],
  ['Shift + ← →', 'to the block before, after'],
  ['Home, End', 'first, last step'],
  [', .', 'slower, faster'],
  ['S', 'a single forward; then apply what it proposes'],
  ['1 – 8', 'lens'],
  ['arrows in the canvas', 'choose a token'],
  ['Ctrl or ⌘ + E', 'in a fill: the selection becomes a hole'],
  ['Tab, Backspace, R', 'after a fill: accept, reject, again'],
  ['?', 'this list'],
];

const writes = (element: Element) =>
  element.matches('input:not([type=range]):not([type=checkbox]), textarea, select');

/** @param more by key, what only the page with a server can do */
export function listen(more: Record<string, () => void>): void {
  document.addEventListener('keydown', (event) => {
    const target = event.target as Element;
    const command = (event.ctrlKey || event.metaKey) && event.key === 'Enter' ? 'run' : event.key;
    if (command === 'run' || command === 'Escape') {
      more[command]?.();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || writes(target)) return;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => (event.shiftKey ? goBlock(-1) : go(index.value - 1)),
      ArrowRight: () => (event.shiftKey ? goBlock(1) : go(index.value + 1)),
      Home: () => go(0),
      End: () => go(null),
      ',': () => faster(-1),
      '.': () => faster(1),
      ' ': play,
      ...more,
    };
    const pressed = target.matches('button, summary, a');
    if (event.key === ' ' && pressed) return;
    if (event.key.startsWith('Arrow') && target.matches('input[type=range]:not(.scrubber)')) return;
    const chosen = lenses[Number(event.key) - 1];
    const act = chosen ? () => (lens.value = chosen.key) : moves[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
    if (event.key.startsWith('Arrow') && at.value === null) go(index.value);
  });
}
