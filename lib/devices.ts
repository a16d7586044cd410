/** What a machine has besides its CPU. */
import { finish, native, type NativeDevices } from './native.js';

/**
 * The NVIDIA cards of this machine, and why those that cannot run models cannot. Wakes the cards,
 * which may take a second; rejects with `NO_BINARY` alone.
 */
export async function devices(): Promise<NativeDevices> {
  return finish(() => native().devices());
}
