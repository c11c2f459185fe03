/** Lines of an export as the messages of the agent's stream that they were written from. */

const WRAPPED = new Set(['pid', 'links', 'in_init_tree'])

/** What `GetEvents` sends for an event, from its line, parsed. */
export function agentMessageOf(value: unknown, key = ''): unknown {
  const isTime = key === 'time' || key === 'start_time'
  if (isTime && typeof value === 'string') {
    const nanos = /\.(\d+)Z$/.exec(value)?.[1] ?? ''
    return { seconds: Math.floor(Date.parse(value) / 1000), nanos: Number(nanos.padEnd(9, '0')) }
  }
  if (WRAPPED.has(key) || (key === 'uid' && typeof value === 'number')) return { value }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, agentMessageOf(each, name)]))
}
