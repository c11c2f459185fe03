/** `HOST:PORT`, as several options take it. */

import { InvalidArgumentError } from 'commander'

/** An IPv6 host stands in brackets. */
const LISTEN = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})$/
const MAX_PORT = 65_535

export interface ListenAddress {
  /** An IPv6 address without its brackets. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

export function parseListen(written: string): ListenAddress {
  const match = LISTEN.exec(written)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > MAX_PORT) {
    throw new InvalidArgumentError('write HOST:PORT, such as 0.0.0.0:8443 or [::]:8443')
  }
  return { host, port }
}
