import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'children');

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs a script of `children/` to its end; a child that hangs is killed. */
export function runChild(
  script: string,
  args: string[] = [],
  flags: string[] = [],
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, join(folder, script), ...args], {
      timeout: 280_000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** What a child that ended well printed as JSON. */
export async function childResult<T>(script: string, flags: string[] = []): Promise<T> {
  const { code, signal, stdout, stderr } = await runChild(script, [], flags);
  if (code !== 0) throw new Error(`${script} ended with ${code ?? signal}:\n${stdout}${stderr}`);
  return JSON.parse(stdout) as T;
}
