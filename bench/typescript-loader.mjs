/**
 * Named by `--import`: lets a process read TypeScript, and its worker threads too.
 *
 * The `tsx` command does the first alone, and the journal writes in a thread of its own.
 */

import { register } from 'tsx/esm/api'

register()
