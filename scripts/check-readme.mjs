// Runs the code blocks of README.md, so that what a newcomer copies works: `js` and `ts` as ES
// modules, `sh` with sh -e, blocks in other languages not at all. They run in the folder where
// check-pack.mjs installed the package. A comment on the line before a block changes that:
//
//   <!-- run in: checkout -->    runs it in this checkout
//   <!-- not run: reason -->     leaves it out
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './native-build.mjs';

/** Code blocks as { language, code, note, line }; `note` is the comment on the line before. */
export function codeBlocks(markdown) {
  const block =
    /(?:^<!-- (?<note>.+?) -->\n+)?^```(?<language>\w+)[^\n]*\n(?<code>[\s\S]*?)^```$/gm;
  return [...markdown.matchAll(block)].map(({ groups, index, 0: text }) => ({
    ...groups,
    line: markdown.slice(0, index + text.indexOf('```')).split('\n').length,
  }));
}

function runBlock({ language, code }, folder) {
  if (language === 'sh')
    return spawnSync('sh', ['-e', '-c', code], { cwd: folder, encoding: 'utf8' });
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const file = join(folder, 'readme-snippet.mjs');
  writeFileSync(file, outputText);
  try {
    return spawnSync(process.execPath, [file], { cwd: folder, encoding: 'utf8' });
  } finally {
    rmSync(file);
  }
}

/** Runs every block in `app`, a folder with lacuna installed. Throws on the first that fails. */
export function checkReadme(app) {
  const blocks = codeBlocks(readFileSync(join(root, 'README.md'), 'utf8'));
  const runnable = blocks.filter(({ language }) => ['js', 'ts', 'sh'].includes(language));
  let count = 0;
  for (const block of runnable) {
    const name = `README.md:${block.line} (${block.language})`;
    if (block.note?.startsWith('not run: ')) {
      console.log(`${name}: ${block.note}`);
      continue;
    }
    const folder = block.note === 'run in: checkout' ? root : app;
    const { status, stdout, stderr, error } = runBlock(block, folder);
    if (status !== 0) {
      throw new Error(`${name} failed (${error ?? status}):\n${block.code}${stdout}${stderr}`);
    }
    console.log(`${name}: ok`);
    count++;
  }
  if (count === 0) throw new Error('README.md has no code block that is run.');
}
