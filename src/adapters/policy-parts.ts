/**
 * A policy's draft on its way between threads, in parts: whoever takes it looks after others between two of them.
 *
 * The entries are flat numbers and change hands as they are. All other lists may be long too, and what is copied is
 * copied within one turn.
 */

import type { MessagePort } from 'node:worker_threads'
import type { PolicyDraft } from '../policy/index.js'

/** Of each list, in one part. A hundred exceptions take a millisecond. */
const PART_SIZE = 100

type CopiedList = 'warnings' | 'rules' | 'exceptions' | 'maintenance' | 'mirrors'

export type PolicyPart =
  | { readonly type: 'head'; readonly head: Omit<PolicyDraft, CopiedList> }
  | ({ readonly type: 'items' } & Pick<PolicyDraft, CopiedList>)
  | { readonly type: 'end' }

/** Everything is posted at once, and waits in the port. The draft's entries are gone afterwards. */
export function postPolicy(port: MessagePort, draft: PolicyDraft): void {
  const { warnings, rules, exceptions, maintenance, mirrors, ...head } = draft
  const { nodes, entries, slots, globs, texts } = head.forest
  post(port, { type: 'head', head }, [nodes, entries, slots, globs, texts.units, texts.ends])
  const longest = Math.max(...[warnings, rules, exceptions, maintenance, mirrors].map(({ length }) => length))
  for (let from = 0; from < longest; from += PART_SIZE) {
    const cut = <Item>(items: readonly Item[]): readonly Item[] => items.slice(from, from + PART_SIZE)
    const lists = { warnings: cut(warnings), rules: cut(rules), exceptions: cut(exceptions) }
    post(port, { type: 'items', ...lists, maintenance: cut(maintenance), mirrors: cut(mirrors) }, [])
  }
  post(port, { type: 'end' }, [])
}

function post(port: MessagePort, part: PolicyPart, handedOver: readonly ArrayBufferView<ArrayBuffer>[]): void {
  port.postMessage(
    part,
    handedOver.map(({ buffer }) => buffer),
  )
}

/** Puts the parts together again. */
export class PolicyCollector {
  #head: Omit<PolicyDraft, CopiedList> | undefined
  readonly #warnings: PolicyDraft['warnings'][number][] = []
  readonly #rules: PolicyDraft['rules'][number][] = []
  readonly #exceptions: PolicyDraft['exceptions'][number][] = []
  readonly #maintenance: PolicyDraft['maintenance'][number][] = []
  readonly #mirrors: PolicyDraft['mirrors'][number][] = []

  /** @returns the draft once it is whole. */
  add(part: PolicyPart): PolicyDraft | undefined {
    switch (part.type) {
      case 'head':
        this.#head = part.head
        return undefined
      case 'items':
        this.#warnings.push(...part.warnings)
        this.#rules.push(...part.rules)
        this.#exceptions.push(...part.exceptions)
        this.#maintenance.push(...part.maintenance)
        this.#mirrors.push(...part.mirrors)
        return undefined
      case 'end':
        return this.#head && { ...this.#head, ...this.#lists() }
    }
  }

  #lists(): Pick<PolicyDraft, CopiedList> {
    return {
      warnings: this.#warnings,
      rules: this.#rules,
      exceptions: this.#exceptions,
      maintenance: this.#maintenance,
      mirrors: this.#mirrors,
    }
  }
}
