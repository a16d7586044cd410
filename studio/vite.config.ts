/** The studio as files for `lacuna serve`; in the mode `player` the part that plays a saved trace. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig(({ mode }) => ({
  root: at('.'),
  base: '/studio/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  logLevel: 'warn',
  publicDir: mode === 'player' ? false : 'public',
  build: {
    outDir: at('../dist/studio'),
    emptyOutDir: mode !== 'player',
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    ...(mode === 'player'
      ? {
          lib: {
            entry: at('src/player.tsx'),
            formats: ['iife'],
            name: 'lacunaPlayer',
            fileName: () => 'player.js',
            cssFileName: 'player',
          },
        }
      : {
          rolldownOptions: {
            output: { entryFileNames: 'studio.js', assetFileNames: '[name][extname]' },
          },
        }),
  },
}));
