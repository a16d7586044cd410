/** Light, dark, or as the system has it. */
import { effect, signal } from '@preact/signals';

export const themes = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

const key = 'lacuna-theme';

/** A page from disk may keep nothing. */
function kept(): Theme {
  try {
    return themes.find((name) => name === localStorage.getItem(key)) ?? 'auto';
  } catch {
    return 'auto';
  }
}

export const choice = signal<Theme>(kept());
const dark = matchMedia('(prefers-color-scheme: dark)');
const system = signal(dark.matches);
dark.addEventListener('change', () => (system.value = dark.matches));

/** What is shown now. */
export const theme = signal<'light' | 'dark'>('light');
export const still = matchMedia('(prefers-reduced-motion: reduce)');

effect(() => {
  const auto = system.value ? 'dark' : 'light';
  theme.value = choice.value === 'auto' ? auto : choice.value;
  document.documentElement.dataset.theme = theme.value;
});

export function nextTheme(): void {
  choice.value = themes[(themes.indexOf(choice.value) + 1) % themes.length];
  try {
    localStorage.setItem(key, choice.value);
  } catch {
    // Nothing keeps it: it lasts as long as the page.
  }
}
