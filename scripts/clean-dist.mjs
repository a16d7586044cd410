// Empties dist/, so that a package never carries the output of a source file that is gone.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './native-build.mjs';

rmSync(join(root, 'dist'), { recursive: true, force: true });
