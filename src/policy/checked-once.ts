/**
 * How the shipped files are held to their shapes: each once in a run. The schema library would compile every object's
 * check first, which takes longer than the one check that follows.
 */
export const CHECKED_ONCE = { jitless: true } as const
