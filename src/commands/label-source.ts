/** Namespace labels for as long as the policy in force selects by them: the watch starts when it is first needed. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterAccess } from '../adapters/kubernetes-client.js'
import type { NamespaceWatch } from '../adapters/kubernetes-namespaces.js'
import type { Logger } from '../logger.js'
import type { NamespaceLabels } from '../webhook/ports.js'

/** How long the first policy's labels are waited for. */
const SYNC_WAIT_MS = 5_000

export interface LabelSource extends NamespaceLabels {
  /** Undefined when no policy needed labels yet. */
  isSynced(): boolean | undefined
  /** Tell whether the policy in force needs labels. Once started, the watch goes on. */
  need(isNeeded: boolean): Promise<void>
  close(): Promise<void>
}

/** @param access undefined: no labels can be had, and a policy that needs them is warned about. */
export function createLabelSource(access: ClusterAccess | undefined, log: Logger): LabelSource {
  let watch: NamespaceWatch | undefined
  let isNeeded = false
  const start = async (): Promise<void> => {
    if (access === undefined) {
      const sentence =
        'The policy selects namespaces by labels, and neither --kubeconfig nor --in-cluster is given: the strictest mode that could apply holds'
      log.warn({}, sentence)
      return
    }
    // The Kubernetes client takes time and memory to load: only who needs it pays.
    const { watchNamespaceLabels } = await import('../adapters/kubernetes-namespaces.js')
    watch = await watchNamespaceLabels({ ...access, log })
    // An API server that is away must not keep the webhook from starting: unknown labels mean the strictest mode.
    await Promise.race([watch.whenSynced(), sleep(SYNC_WAIT_MS, undefined, { ref: false })])
  }
  return {
    labelsOf: namespace => watch?.labelsOf(namespace),
    isSynced: () => (isNeeded ? (watch?.isSynced() ?? false) : undefined),
    async need(isNeededNow) {
      if (!isNeededNow || isNeeded) return
      isNeeded = true
      await start()
    },
    close: async () => watch?.close(),
  }
}
